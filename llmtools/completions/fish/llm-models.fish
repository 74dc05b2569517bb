# fish completion for llm-models
# Written by tests/completions.py from the options of llm-models: do not edit.

complete -c llm-models -f
complete -c llm-models -n 'not __fish_seen_subcommand_from list show default alias' -a 'list show default alias'
complete -c llm-models -l refresh -d 'Ask every provider again: lists are kept for a day'
complete -c llm-models -l json -d 'Write all that is known as JSON Lines'
complete -c llm-models -s l -l long -d 'Show context, longest output, and prices in dollars a million tokens'
complete -c llm-models -s a -l all -d 'List also the models that hold no conversations'
complete -c llm-models -l rm -d 'Take the default or the alias away'
complete -c llm-models -l timeout -x -d 'The most that the lists may take'
complete -c llm-models -l color -x -a 'auto always never' -d 'Colour for people: when stderr is a terminal, always, or never'
complete -c llm-models -s q -l quiet -d 'Say nothing on stderr but errors'
complete -c llm-models -s v -l verbose -d 'Say more on stderr: notices, too'
complete -c llm-models -l version -d 'Show the version'
complete -c llm-models -s h -l help -d 'Show this help'
