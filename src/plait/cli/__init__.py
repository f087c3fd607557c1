"""The command line: each command over one `Gateway`.

    commands    what can be typed: commands, arguments and options, and their help
    session     one start of the program: settings, log, gateway, signals; errors become exit codes
    exits       the exit codes
    documents   a DAG from a file, with what the options change in it
    running     run, call
    looking     plan, tools, servers
    serving     serve
    report      results, plans and refusals as lines
    style       pieces of lines, numbers in words
    console     the two streams: colours, glyphs and escapes, at one place

Only `commands` is imported to show help; the others, and what they need, when a command runs.
"""
