"""The bundled MCP server: files, search, git and checks of one folder, over stdio.

    python -P -m plait.workspace --root DIR

It is an ordinary server that any client can use, and imports nothing else from the package.

    __main__    the command line
    server      the table of tools, and the border where arguments enter and errors leave
    stdio       the pipe to the client, which a signal can end
    schema      the models of arguments and outputs, and the JSON Schemas published from them
    paths       the one place that decides what is inside the root
    files       read_file, write_file
    folders     list_dir
    search      find_files, grep; scan replaces ripgrep where that is not installed
    git         git_status, git_diff, git_log; repository finds one and disarms its configuration,
                and porcelain parses the output of git
    checks      format_code, run_tests, run_command; allowed decides what the last may start, and
                changes finds the files that a formatter is given and changed
    processes   one command in a process group of its own, that never outlives its call
"""
