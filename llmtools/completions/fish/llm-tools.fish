# fish completion for llm-tools
# Written by tests/completions.py from the options of llm-tools: do not edit.

complete -c llm-tools -f
complete -c llm-tools -n 'not __fish_seen_subcommand_from list offer run loop call login' -a 'list offer run loop call login'
complete -c llm-tools -l max-rounds -x -d 'Run the calls of at most N replies (loop)'
complete -c llm-tools -s j -l jobs -x -d 'Run at most N calls at the same time'
complete -c llm-tools -l timeout -x -d 'End a call that takes longer than SECONDS'
complete -c llm-tools -l max-output -x -d 'Cut the output of a call after BYTES'
complete -c llm-tools -l ask -d 'Ask on the terminal before each call'
complete -c llm-tools -l allow -x -d 'Run only tools that match PATTERN; with --ask, run them without asking'
complete -c llm-tools -l deny -x -d 'Never run tools that match PATTERN'
complete -c llm-tools -s E -l env -x -d 'Give tools the environment variable NAME'
complete -c llm-tools -l json -d 'Write JSON (list, call)'
complete -c llm-tools -s n -l no-stdin -d 'Do not read stdin'
complete -c llm-tools -l wait -x -d 'Wait at most SECONDS for the first byte of stdin; 0: for ever'
complete -c llm-tools -l color -x -a 'auto always never' -d 'Use colour: auto (on a terminal), always or never'
complete -c llm-tools -s q -l quiet -d 'Print only errors on stderr'
complete -c llm-tools -s v -l verbose -d 'Print more on stderr, such as notices'
complete -c llm-tools -l version -d 'Print the name and version, and exit'
complete -c llm-tools -s h -l help -d 'Print how to use this command, and exit'
