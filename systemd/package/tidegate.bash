# Completion of tidegate(1) for bash. The options are taken from the program's own help.
_tidegate() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word command=() names
  case "$previous" in
    # As names of files: the shell quotes them, and puts a / behind a folder.
    --config | --token-file | --admin-ca | --password-file | --ca | --serial) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --data-dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
    --stream) mapfile -t COMPREPLY < <(compgen -W "readings alarms events" -- "$current"); return ;;
    --order) mapfile -t COMPREPLY < <(compgen -W "ABCD CDAB BADC DCBA" -- "$current"); return ;;
    --payload) mapfile -t COMPREPLY < <(compgen -W "json number csv flat array" -- "$current"); return ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W "debug info warning error" -- "$current"); return ;;
  esac
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) break ;; *) command+=("$word") ;; esac
  done
  names=$(tidegate "${command[@]}" --help 2> /dev/null |
    sed -n -e 's/^ *\(-h,\)\{0,1\}\(--[a-z-]\{1,\}\).*/\2/p' -e '/^Subcommands:/,$s/^  \([a-z]\{1,\}\) .*/\1/p')
  mapfile -t COMPREPLY < <(compgen -W "$names" -- "$current")
}
complete -F _tidegate tidegate
