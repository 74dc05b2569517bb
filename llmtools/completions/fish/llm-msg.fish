# fish completion for llm-msg
# Written by tests/completions.py from the options of llm-msg: do not edit.

complete -c llm-msg -f
complete -c llm-msg -n 'not __fish_seen_subcommand_from system user assistant tool' -a 'system user assistant tool'
complete -c llm-msg -s f -l fragment -r -F -d 'Put the text of a file, URL, program or stdin before TEXT'
complete -c llm-msg -l raw -d 'Take the page at a URL of -f as it is, HTML too'
complete -c llm-msg -s a -l attach -r -F -d 'Attach a file'
complete -c llm-msg -l mime -x -d 'Set the MIME type of the attachments'
complete -c llm-msg -l ref -d 'Attach files by path and SHA-256, not by content'
complete -c llm-msg -s t -l template -x -d 'Make the message from a template; TEXT fills $input'
complete -c llm-msg -s p -l param -x -d 'Fill the field NAME of the template with VALUE'
complete -c llm-msg -s c -l continue -d 'Continue the conversation that was stored last'
complete -c llm-msg -s e -l edit -d 'Write the message in an editor on the terminal'
complete -c llm-msg -l call -x -d 'Answer the pending tool call ID (role tool)'
complete -c llm-msg -s n -l no-stdin -d 'Do not read stdin'
complete -c llm-msg -l wait -x -d 'Wait at most SECONDS for the first byte of stdin; 0: for ever'
complete -c llm-msg -l color -x -a 'auto always never' -d 'Use colour: auto (on a terminal), always or never'
complete -c llm-msg -s q -l quiet -d 'Print only errors on stderr'
complete -c llm-msg -s v -l verbose -d 'Print more on stderr, such as notices'
complete -c llm-msg -l version -d 'Print the name and version, and exit'
complete -c llm-msg -s h -l help -d 'Print how to use this command, and exit'
