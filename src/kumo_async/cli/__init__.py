"""The command line: `kumo-async demo | upload | ls | show | head | delete | recover | serve`.

    app        the program: its commands, and the options that all of them have
    upload     one file becomes one table; file_options says how the file is written and checked
    tables     ls, show, head, delete
    recover    uploads whose process died
    serve      the embedded data plane, alone
    demo       everything once, on made data; demo_data makes it, demo_check compares it, demo_page prints it
    progress   a live view of an upload's events
    output     what is printed, safely
    wording    messages of the library name options in place of arguments
    interrupts Ctrl-C and SIGTERM: what they leave, and that the second one ends the process
    border     errors and broken pipes become messages, JSON and exit codes
    exit_codes what a script can tell from the exit code

Only what `--help` needs is imported here; pyarrow, pandas and aiohttp are loaded by the commands that use them.
"""

from .app import app, main

__all__ = ["app", "main"]
