import { shellCommand } from './remote-shell.ts';

/**
 * Ends the tree of one attempt, and says whether anything is left. One line on stdin: pid, start time and boot id of the
 * leader, the marker's value, how many seconds lie between TERM and KILL, and the private folder. Members are the leader's
 * session and group, processes that carry the marker in their environment, and the descendants of all of these.
 * Answers `outrider-kill absent`, `outrider-kill gone` or `outrider-kill left PID…`.
 */
const KILLER = `
IFS=" " read -r p t b m g d || exit 125
finish() {
  case $d in
    */outrider.*) rm -rf "$d" ;;
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
start() {
  if [ -r "/proc/$1/stat" ]; then
    read -r y <"/proc/$1/stat"
    set -- \${y##*) }
    shift 19
    y=$1
  else
    y=$(ps -o lstart= -p "$1" 2>/dev/null | tr -s " " _)
  fi
}
y=
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
    grep -lzxF "OUTRIDER_ATTEMPT=$m" /proc/[0-9]*/environ 2>/dev/null
  else
    for f in /proc/[0-9]*/environ; do
      tr "\\\\000" "\\\\012" 2>/dev/null <"$f" | grep -qxF "OUTRIDER_ATTEMPT=$m" && echo "$f"
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
    ps -A -o pid= -o stat= -o ppid= -o pgid= >"$d/ps"
    while read -r i s x y; do
      one "$i" "$s" "$x" "$y" 0
    done <"$d/ps"
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
[ "$z" = 1 ] || g=$((g * 10))
while [ "$g" -gt 0 ] && members; do
  sleep $z
  g=$((g - 1))
done
g=50
[ "$z" = 1 ] && g=5
while [ "$g" -gt 0 ] && members; do
  kill -KILL $q 2>/dev/null
  sleep $z
  g=$((g - 1))
done
members || finish gone
finish left $q
`;

/** The command of the channel beside the attempt's. */
export const KILL = shellCommand(KILLER);
