import { shellCommand } from './remote-shell.ts';

/*
 * On the target, for one attempt:
 *
 *   sshd ── keeper ── leader (session of its own) ── becomes the interpreter
 *
 * The keeper makes the private folder, waits, removes it and ends as the leader ended. The leader reads the message from
 * stdin, says who it is, waits for a line, and becomes the interpreter. Both texts are constant: what is the user's
 * travels on stdin only.
 */

/**
 * $1 is the leader's text. A shell says "Killed" on its own stderr when a signal ended its child, and nothing when the
 * child ended with 137 by itself: that tells them apart. bash says so only when it reads its program from a file, and
 * no shell says so for INT and PIPE. The trap keeps the keeper alive until the folder is removed.
 */
const KEEPER = `
umask 077
d=
for b in /dev/shm "$XDG_RUNTIME_DIR" "/run/user/$(id -u)"; do
  if [ -z "$d" ] && [ -n "$b" ] && [ -d "$b" ] && [ -w "$b" ] && [ -r /proc/mounts ]; then
    while read -r x p t x; do
      if [ "$p" = "$b" ] && [ "$t" = tmpfs ] && [ -z "$d" ]; then
        d=$(mktemp -d "$b/outrider.XXXXXXXXXX" 2>/dev/null)
      fi
    done </proc/mounts
  fi
done
for b in "$TMPDIR" /tmp /var/tmp; do
  if [ -z "$d" ] && [ -n "$b" ]; then
    d=$(mktemp -d "$b/outrider.XXXXXXXXXX" 2>/dev/null)
  fi
done
if [ -z "$d" ]; then
  echo "outrider: no folder for the script can be made in /dev/shm, TMPDIR or /tmp" >&2
  exit 125
fi
trap : HUP INT TERM
exec 3>&2 2>"$d/err"
set -- "$1" "$d"
s=setsid
command -v setsid >/dev/null 2>&1 || s="set -m 2>/dev/null;"
r="$s /bin/sh -c \\"\\$1\\" outrider \\"\\$2\\""
if [ -n "$BASH_VERSION" ]; then
  echo "$r" >"$d/run"
  /bin/sh "$d/run" "$1" "$d"
else
  eval "$r"
fi
c=$?
e=
[ -s "$d/err" ] && e=1
case $c in
  130|141) e=1 ;;
esac
cd /
rm -rf "$d"
if [ "$c" -gt 128 ] && [ -n "$e" ]; then
  n=$(kill -l $((c - 128)))
  ulimit -c 0
  trap - "$n"
  kill -s "$n" $$
fi
exit "$c"
`;

/**
 * $1 is the private folder. The first line of the message says how long the other parts are. dd takes the settings byte by
 * byte, so that nothing of the script is taken with them; the script comes last and may be read in any pieces.
 * After eval: $1 folder, $2 mark, $3 start time, $4 boot id, $5… the interpreter's command line.
 */
const LEADER = `
exec 2>&3 3>&-
IFS=" " read -r v m n k || exit 125
[ "$v" = outrider1 ] || exit 125
s=$(dd ibs=1 obs=32768 count="$n" 2>/dev/null; echo .)
s=\${s%.}
: >"$1/script"
g=0
while [ "$g" -lt "$k" ]; do
  dd bs=65536 count=1 2>/dev/null >>"$1/script"
  h=$(($(wc -c <"$1/script")))
  if [ "$h" -le "$g" ]; then
    echo "outrider: the script could not be received into $1: the line was cut, or no space is left" >&2
    exit 125
  fi
  g=$h
done
t=
b=
if [ -r "/proc/$$/stat" ]; then
  read -r t <"/proc/$$/stat"
  d=$1
  set -- \${t##*) }
  shift 19
  t=$1
  set -- "$d"
else
  t=$(ps -o lstart= -p $$ | tr -s " " _)
fi
if [ -r /proc/sys/kernel/random/boot_id ]; then
  read -r b </proc/sys/kernel/random/boot_id
fi
set -- "$1" "$m" "\${t:--}" "\${b:--}"
eval "$s"
if command -v "$5" >/dev/null 2>&1; then
  :
else
  echo "$2 interpreter"
  exit 125
fi
echo "$2 started $$ $3 $4 $1"
read -r OUTRIDER_GATE || exit 125
unset OUTRIDER_GATE
shift 4
exec "$@" </dev/null
`;

/** The command of the attempt's channel. */
export const BOOTSTRAP = shellCommand(KEEPER, LEADER);
