# fish completion for llm-keys
# Written by tests/completions.py from the options of llm-keys: do not edit.

complete -c llm-keys -f
complete -c llm-keys -n 'not __fish_seen_subcommand_from set list rm which' -a 'set list rm which'
complete -c llm-keys -l color -x -a 'auto always never' -d 'Colour for people: when stderr is a terminal, always, or never'
complete -c llm-keys -s q -l quiet -d 'Say nothing on stderr but errors'
complete -c llm-keys -s v -l verbose -d 'Say more on stderr: notices, too'
complete -c llm-keys -l version -d 'Show the version'
complete -c llm-keys -s h -l help -d 'Show this help'
