# fish completion for llm-send
# Written by tests/completions.py from the options of llm-send: do not edit.

complete -c llm-send -f
complete -c llm-send -s m -l model -x -a 'echo (complete -C "__fish_command_without_completions "(string replace -r "^(-m|--model=)?(replay/)?" "" -- (commandline -ct)) | string replace -r "^" replay/)' -d 'The model'
complete -c llm-send -s s -l system -x -d 'Make TEXT the first message of the stream, a system message'
complete -c llm-send -s o -l option -x -d 'An option of the model; VALUE may be JSON'
complete -c llm-send -l save -r -F -d 'Write the whole conversation to FILE, however the run ends'
complete -c llm-send -l anyway -d 'Go on from a stream that has failed'
complete -c llm-send -l prefill -d 'Have a last message of the model\'s continued'
complete -c llm-send -l no-events -d 'Write the message only, no events'
complete -c llm-send -s n -l no-stdin -d 'Do not read stdin'
complete -c llm-send -l wait -x -d 'How long an idle stdin is waited for; 0 is for ever'
complete -c llm-send -l color -x -a 'auto always never' -d 'Colour for people: when stderr is a terminal, always, or never'
complete -c llm-send -s q -l quiet -d 'Say nothing on stderr but errors'
complete -c llm-send -s v -l verbose -d 'Say more on stderr: notices, too'
complete -c llm-send -l version -d 'Show the version'
complete -c llm-send -s h -l help -d 'Show this help'
