"""
The command line, last of the hub's folders: it uses all the others, and nothing uses it.

Read `common` first: the app, and how a command is registered; `commands.toml` has its words. `lists` makes commands of
the lists of the API. Then by what a user does: `run` a hub or a gateway, publish recorded `files`, `ask` and publish,
`areas`, `operate` (alerts, and what keeps figures right), `doctor`. `output` writes answers in the form
asked for, and the log. `main` finds the module of a command, and gives failures their exit code.
"""
