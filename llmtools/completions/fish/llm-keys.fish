# fish completion for llm-keys
# Written by tests/completions.py from the options of llm-keys: do not edit.

complete -c llm-keys -f
complete -c llm-keys -n 'not __fish_seen_subcommand_from set list rm which' -a 'set list rm which'
complete -c llm-keys -l color -x -a 'auto always never' -d 'Use colour: auto (on a terminal), always or never'
complete -c llm-keys -s q -l quiet -d 'Print only errors on stderr'
complete -c llm-keys -s v -l verbose -d 'Print more on stderr, such as notices'
complete -c llm-keys -l version -d 'Print the name and version, and exit'
complete -c llm-keys -s h -l help -d 'Print how to use this command, and exit'
