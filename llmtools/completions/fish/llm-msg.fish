# fish completion for llm-msg
# Written by tests/completions.py from the options of llm-msg: do not edit.

complete -c llm-msg -f
complete -c llm-msg -n 'not __fish_seen_subcommand_from system user assistant tool' -a 'system user assistant tool'
complete -c llm-msg -s f -l fragment -r -F -d 'Put a text before TEXT'
complete -c llm-msg -s a -l attach -r -F -d 'Attach a file'
complete -c llm-msg -l mime -x -d 'The MIME type of the attachments'
complete -c llm-msg -l ref -d 'Attach by path and sha256, not by content'
complete -c llm-msg -s t -l template -x -d 'Say what a template says; TEXT is its $input'
complete -c llm-msg -s p -l param -x -d 'Fill in a field of the template'
complete -c llm-msg -s c -l continue -d 'Go on with the newest conversation of the log: llm-log get last |'
complete -c llm-msg -s e -l edit -d 'Write the message in $EDITOR'
complete -c llm-msg -l call -x -d 'Which pending tool call the message answers (role tool)'
complete -c llm-msg -s n -l no-stdin -d 'Do not read stdin'
complete -c llm-msg -l wait -x -d 'How long an idle stdin is waited for; 0 is for ever'
complete -c llm-msg -l color -x -a 'auto always never' -d 'Colour for people: when stderr is a terminal, always, or never'
complete -c llm-msg -s q -l quiet -d 'Say nothing on stderr but errors'
complete -c llm-msg -s v -l verbose -d 'Say more on stderr: notices, too'
complete -c llm-msg -l version -d 'Show the version'
complete -c llm-msg -s h -l help -d 'Show this help'
