import { shellCommand } from './remote-shell.ts';
import { START_OF, WIPE } from './shell-parts.ts';

/**
 * Ends the tree of one attempt, and says whether anything is left. One line on stdin: pid, start time and boot id of the
 * leader, the marker's value, how many seconds lie between TERM and KILL, whether the folder is to go as well ("remove")
 * or is still needed ("keep"), and the folder. Members are the leader's session and group, processes that carry the marker
 * in their environment, and the descendants of all of these. Answers `outrider-kill absent`, `outrider-kill gone` or
 * `outrider-kill left PID…`.
 */
const KILLER = `
${START_OF}
${WIPE}
IFS=" " read -r p t b o g r d || exit 125
m=outrider
finish() {
  case $r$d in
    remove*/outrider.*) rm -rf "$d" ;;
    remove*/outrider-*) [ "$1" = left ] || wipe ;;
  esac
  echo "outrider-kill $*"
  exit 0
}
if [ "$b" = - ]; then
  :
elif read -r x </proc/sys/kernel/random/boot_id && [ "$x" = "$b" ]; then
  :
else
  finish absent
fi
start "$p" 2>/dev/null
l=$p
[ -n "$y" ] && [ "$y" = "$t" ] || l=
[ -n "$y" ] || l=$p
one() {
  case $2 in
    Z*|X*) return ;;
  esac
  a="$a $1:$3"
  if [ -n "$l" ]; then
    if [ "$1" = "$l" ] || [ "$4" = "$l" ] || [ "$5" = "$l" ]; then
      q="$q$1 "
    fi
  fi
}
marked() {
  if printf x | grep -zqxF x 2>/dev/null; then
    grep -lzxF "OUTRIDER_ATTEMPT=$o" /proc/[0-9]*/environ 2>/dev/null
  else
    for f in /proc/[0-9]*/environ; do
      tr "\\\\000" "\\\\012" 2>/dev/null <"$f" | grep -qxF "OUTRIDER_ATTEMPT=$o" && echo "$f"
    done
  fi
}
table() {
  if [ -r /proc/self/stat ]; then
    for f in /proc/[0-9]*; do
      y=
      { read -r y <"$f/stat"; } 2>/dev/null
      [ -n "$y" ] && one "\${f#/proc/}" \${y##*) }
    done
    for f in $(marked); do
      f=\${f#/proc/}
      q="$q\${f%/environ} "
    done
  else
    set -- $(ps -A -o pid= -o stat= -o ppid= -o pgid=)
    while [ "$#" -ge 4 ]; do
      one "$1" "$2" "$3" "$4" 0
      shift 4
    done
  fi
}
members() {
  a=
  q=" "
  table
  w=1
  while [ -n "$w" ]; do
    w=
    for x in $a; do
      case $q in
        *" \${x%%:*} "*) ;;
        *" \${x##*:} "*) q="$q\${x%%:*} "; w=1 ;;
      esac
    done
  done
  [ "$q" = " " ] && return 1
  return 0
}
members || finish absent
kill -TERM $q 2>/dev/null
z=1
sleep 0.1 2>/dev/null && z=0.1
g=$(($(date +%s) + g))
while members && [ "$(date +%s)" -lt "$g" ]; do
  sleep $z
done
g=$(($(date +%s) + 5))
while members && [ "$(date +%s)" -le "$g" ]; do
  kill -KILL $q 2>/dev/null
  sleep $z
done
members || finish gone
finish left $q
`;

/** The command of the channel beside the attempt's. */
export const KILL = shellCommand(KILLER);
