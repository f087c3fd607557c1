"""The command line: each command over one `Gateway`.

    commands    the commands with their arguments, options and help
    options     the arguments and options that several of them have
    session     one start of the program: settings, log, gateway, signals; errors become exit codes
    orders      the commands that need a gateway, as values
    invocation  the streams of the person and what they asked for; errors become messages
    performing  a command from its start to its exit code, with the interrupts of the person
    shared      a command that the gateway carries out which other programs share
    early       an interrupt while modules are imported
    exits       the exit codes
    documents   a DAG from a file, with the changes that options make
    running     run
    calling     call
    looking     plan, tools, servers
    serving     serve
    report      results, plans and refusals as lines
    live        rows that are redrawn while something runs
    binary      images and other data in results
    style       pieces of lines, numbers in words
    completion  names for the completion of shells
    console     the two streams: colours, glyphs and escapes, in one place
    streams     the standard streams of the process, which cannot fail in the middle of a run

To show help, only `commands` is imported; the others and what they need, when a command runs.
"""
