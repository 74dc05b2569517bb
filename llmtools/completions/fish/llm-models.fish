# fish completion for llm-models
# Written by tests/completions.py from the options of llm-models: do not edit.

complete -c llm-models -f
complete -c llm-models -n 'not __fish_seen_subcommand_from list show default alias' -a 'list show default alias'
complete -c llm-models -l refresh -d 'Request every list again (lists are stored for a day)'
complete -c llm-models -l json -d 'Write everything that is known as JSON Lines'
complete -c llm-models -s l -l long -d 'Show also context, longest output, and prices in dollars per million tokens'
complete -c llm-models -s a -l all -d 'List also models that are not for conversations'
complete -c llm-models -l rm -d 'Remove the default or the alias'
complete -c llm-models -l timeout -x -d 'Wait at most SECONDS for the lists'
complete -c llm-models -l color -x -a 'auto always never' -d 'Use colour: auto (on a terminal), always or never'
complete -c llm-models -s q -l quiet -d 'Print only errors on stderr'
complete -c llm-models -s v -l verbose -d 'Print more on stderr, such as notices'
complete -c llm-models -l version -d 'Print the name and version, and exit'
complete -c llm-models -s h -l help -d 'Print how to use this command, and exit'
