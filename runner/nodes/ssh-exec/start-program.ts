import { FOLLOW } from './follow-program.ts';
import { LEADER } from './leader-program.ts';
import { shellCommand } from './remote-shell.ts';
import { BLOCK, SPOOLER } from './spooler-program.ts';

/*
 * On the target, for one detached attempt:
 *
 *   sshd ══channel══ attendant ──── rings ◀── spooler of stdout ◀── FIFO ◀─┐
 *                      │ reads                spooler of stderr ◀── FIFO ◀─┤
 *                      ▼                           │ append                │
 *                    the spool: segments ◀─────────┘                       │
 *                    epoch, leader, keeper, exit                           │
 *                      ▲                                                   │
 *   sshd ─ ─ ─ ─ ─ ─ keeper ──waits for── leader (session of its own) ── becomes the interpreter
 *
 * The keeper, which sshd has made the leader of a session, lets go of the channel before anything of the user's runs: only
 * the attendant holds it, so a cut line ends nothing else. Whoever attaches later takes the attendant's place. All texts
 * are constant: what is the user's travels on stdin only.
 *
 * The spool is `outrider-KEY`, where the key is made of the task's id, so that every attempt at a task meets the others:
 *
 *   epoch            of the attempt that it belongs to
 *   keeper, leader   pid, start time, and process group or boot id
 *   o.N, e.N         segments of stdout and stderr that begin at byte N; o.N.n names the next one
 *   first.o, full.o  first segment that is there; not empty while the spooler waits for room
 *   want.o, bell.M   what a reader has asked for, and where it is rung: M is its mark
 *   exit             exit code and signal; renamed into place as the last thing
 */

/** Most blocks of a segment, fewer where the file system is small: all of the spool takes half of what is free there. */
const QUOTA = 32;
/** How long the result of a script waits for a runner that stays away, in seconds. */
const KEEP_S = 86_400;

/**
 * $1 is the leader's text, $2 the follower's. The first line of the message says the mark, key, epoch, whether a memory
 * disk may be used, and how long the other parts are. Each command that is not built into the shell is a process more on
 * every target: a short script comes in lines, which the shell reads by itself.
 *
 * A shell says "Killed" on its own stderr when a signal ended its child, and nothing when the child ended with 137 by
 * itself: that tells them apart. bash says so only when it reads its program from a file, and no shell says so for INT
 * and PIPE. Nothing that becomes the script may be started with "&": it would ignore INT for ever.
 */
const KEEPER = `
u=$(umask)
umask 077
IFS=" " read -r v m k e t n h g || exit 125
[ "$v" = outrider2 ] || exit 125
say() {
  echo "$m $*"
}
for b in /dev/shm "$XDG_RUNTIME_DIR" "$TMPDIR" /tmp /var/tmp; do
  d=$b/outrider-$k
  if [ -n "$b" ] && [ -d "$d" ] && [ -O "$d" ]; then
    o=
    l=
    read -r o <"$d/epoch"
    read -r l <"$d/leader"
    if [ "\${o:-0}" -lt "$e" ]; then
      say older "\${o:-0}" "\${l:-- - -}" "$d"
    else
      say fenced "$o"
    fi
    exit 0
  fi
done 2>/dev/null
tmpfs() {
  while read -r x y z x; do
    [ "$y" = "$1" ] && [ "$z" = tmpfs ] && return 0
  done </proc/mounts
  return 1
}
make() {
  [ -n "$1" ] && [ -d "$1" ] && [ -w "$1" ] || return
  d=$1/outrider-$k
  mkdir "$d" 2>/dev/null && return
  if [ -e "$d" ]; then
    say busy "$d"
    exit 0
  fi
  d=
}
d=
for b in /dev/shm "$XDG_RUNTIME_DIR"; do
  if [ -z "$d" ] && [ "$t" = 1 ] && [ -n "$b" ] && [ -r /proc/mounts ] && tmpfs "$b"; then
    make "$b"
  fi
done
for b in "$TMPDIR" /tmp /var/tmp; do
  [ -n "$d" ] || make "$b"
done
if [ -z "$d" ]; then
  echo "outrider: no folder for the spool can be made in /dev/shm, TMPDIR, /tmp or /var/tmp" >&2
  exit 125
fi
lost() {
  echo "outrider: the script could not be received into $d: the line was cut, or no space is left" >&2
  rm -rf "$d"
  exit 125
}
{ echo "$e" >"$d/epoch" && mkfifo "$d/gate" "$d/ready" "$d/out" "$d/err" "$d/room.o" "$d/room.e" "$d/bell.$m"; } || lost
for x in o e; do
  echo 0 >"$d/first.$x"
  printf "" >"$d/$x.0"
  printf "" >"$d/full.$x"
  printf "" >"$d/want.$x"
done
printf "" >"$d/want.x"
echo ------------ >"$d/exit.new" || lost
lines() {
  i=0
  while [ "$i" -lt "$1" ]; do
    IFS= read -r x || lost
    printf "%s\\\\n" "$x" || lost
    i=$((i + 1))
  done
}
lines "$n" >"$d/settings"
lines "$h" >"$d/script"
z=0
while [ "$z" -lt "$g" ]; do
  dd bs=${BLOCK} count=1 2>/dev/null >>"$d/script"
  y=$(($(wc -c <"$d/script")))
  [ "$y" -gt "$z" ] || lost
  z=$y
done
own() {
  shift 2
  y=$1
  shift 17
  y="$1 $y"
}
if [ -r "/proc/$$/stat" ]; then
  read -r y <"/proc/$$/stat"
  own \${y##*) }
else
  y="$(ps -o lstart= -p $$ | tr -s " " _) $(ps -o pgid= -p $$ | tr -d " ")"
fi
echo "$$ $y" >"$d/keeper"
begin() {
  f=
  for x in $(df -Pk "$d" 2>/dev/null); do
    case $x in
      [0-9]*%) f=$y; break ;;
    esac
    y=$x
  done
  [ "$f" -ge 0 ] 2>/dev/null || f=131072
  q=$((f / 4096))
  [ "$q" -le ${QUOTA} ] || q=${QUOTA}
  exec 9>"$d/gate"
  read -r x <"$d/ready"
  if [ "$q" -lt 1 ]; then
    say full "$f" "$d"
    exit 0
  fi
  echo "$q" >"$d/quota"
  say "$x" "$d"
  read -r x || exit 0
  [ "$x" = go ] && printf "" >"$d/went" || exit 0
  echo go >&9
  exec 9>&-
}
exec 3<&0
{ begin; o=0; e=0; eval "$2"; follow; } <&3 3<&- &
f=$! y=
exec 3<&- </dev/null >/dev/null 2>"$d/noise"
trap : HUP INT TERM
${SPOOLER}
spool o <"$d/out" 2>/dev/null &
a=$! c=
spool e <"$d/err" 2>/dev/null &
a="$a $! "
s=setsid
command -v setsid >/dev/null 2>&1 || s="set -m 2>/dev/null;"
r="$s /bin/sh -c \\"\\$1\\" outrider \\"\\$2\\" \\"\\$3\\""
set -- "$1" "$d" "$u"
if [ -n "$BASH_VERSION" ]; then
  echo "$r" >"$d/run"
  /bin/sh "$d/run" "$@"
else
  eval "$r"
fi
c=$?
if [ -e "$d/went" ]; then
  :
else
  echo none 1<>"$d/ready"
  wait $a 2>/dev/null
  rm -rf "$d"
  exit 125
fi
n=-
y=
[ -s "$d/noise" ] && y=1
case $c in
  130|141) y=1 ;;
esac
[ "$c" -gt 128 ] && [ -n "$y" ] && n=$(kill -l $((c - 128)))
echo "$c $n" 1<>"$d/exit.new"
mv "$d/exit.new" "$d/exit"
ring x
cd /
trap "" HUP INT
trap - TERM
wait $f 2>/dev/null
sleep ${KEEP_S} &
wait $! 2>/dev/null
rm -rf "$d"
kill $a
`;

/** The command of the channel on which a detached attempt starts. */
export const START = shellCommand(KEEPER, LEADER, FOLLOW);
