# fish completion for llm-tools
# Written by tests/completions.py from the options of llm-tools: do not edit.

complete -c llm-tools -f
complete -c llm-tools -n 'not __fish_seen_subcommand_from list offer run loop call' -a 'list offer run loop call'
complete -c llm-tools -l max-rounds -x -d 'Rounds of a loop'
complete -c llm-tools -s j -l jobs -x -d 'Calls at once'
complete -c llm-tools -l timeout -x -d 'The most that a call may take'
complete -c llm-tools -l max-output -x -d 'The most that a call may say'
complete -c llm-tools -l ask -d 'Ask on the terminal before each call'
complete -c llm-tools -l allow -x -d 'Run only these tools; with --ask, do not ask for them'
complete -c llm-tools -l deny -x -d 'Never run these tools'
complete -c llm-tools -s E -l env -x -d 'Give tools the environment variable NAME'
complete -c llm-tools -l json -d 'list, call: write records'
complete -c llm-tools -s n -l no-stdin -d 'Do not read stdin'
complete -c llm-tools -l wait -x -d 'How long an idle stdin is waited for; 0 is for ever'
complete -c llm-tools -l color -x -a 'auto always never' -d 'Colour for people: when stderr is a terminal, always, or never'
complete -c llm-tools -s q -l quiet -d 'Say nothing on stderr but errors'
complete -c llm-tools -s v -l verbose -d 'Say more on stderr: notices, too'
complete -c llm-tools -l version -d 'Show the version'
complete -c llm-tools -s h -l help -d 'Show this help'
