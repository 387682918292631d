import { shellCommand } from './remote-shell.ts';
import { START_OF, WIPE } from './shell-parts.ts';

/*
 * The attendant's half of a spool, on the channel that started it or on a later one:
 *
 *   channel stdin ──▶ lines "ack STDOUT STDERR" and "wipe"   (end of file: this reader is gone)
 *   segments      ──▶ channel stdout and stderr, as they are; lines that begin with the mark stand between:
 *
 *   MARK begin BLOCKS       on stderr, before which all is the login shell's; so many blocks make a segment
 *   MARK exit CODE SIGNAL   how the script ended; SIGNAL is "-" for none
 *   MARK end                all of this stream has been passed on (on stderr for stderr)
 *   MARK lost o|e BYTE      bytes before this one are no longer there; follows from here
 *   MARK orphan             the keeper was killed: the exit code will never be known
 *   MARK full               the file system took no more; output behind this is lost
 *   MARK broken             this reader could not pass on what it read
 *
 * It blocks on a FIFO of its own, the bell, and is rung for a stream only after it has said that it wants to know of more
 * of it (a number that grows, in want.o): so nothing is polled, a flood costs one ring for each look, and a reader that is
 * gone costs nothing. It says so before it looks, so no ring is missed.
 */
const FOLLOWER = `
${START_OF}
${WIPE}
open() {
  case $1 in
    o) exec 3<"$d/o.$2"; so=$2 ;;
    e) exec 4<"$d/e.$2"; se=$2 ;;
  esac
}
skip() {
  [ "$2" -gt 0 ] || return
  case $1 in
    o) dd bs=1 skip="$2" count=0 <&3 ;;
    e) dd bs=1 skip="$2" count=0 <&4 ;;
  esac
} >/dev/null 2>&1
seek() {
  read -r b <"$d/first.$1"
  z=$2
  if [ "$z" -lt "$b" ]; then
    echo "$m lost $1 $b"
    z=$b
  fi
  while [ -s "$d/$1.$b.n" ]; do
    read -r n <"$d/$1.$b.n"
    [ "$n" -le "$z" ] || break
    b=$n
  done
  open "$1" "$b"
  skip "$1" $((z - b))
}
pass() {
  case $1 in
    o) cat <&3 ;;
    e) cat <&4 >&2 ;;
  esac
}
# A segment that is gone was acknowledged, so it was passed on whole: what follows it is the first that is there.
next() {
  n=
  [ -s "$d/$1.$b.n" ] && read -r n <"$d/$1.$b.n"
  while [ -z "$n" ] && [ -e "$d/first.$1" ]; do
    [ -e "$d/$1.$b" ] && return
    read -r n <"$d/first.$1"
  done
}
take() {
  b=$so
  [ "$1" = o ] || b=$se
  echo "$k $m" >"$d/want.$1"
  while :; do
    f=
    [ -e "$d/end.$1" ] && f=1
    next "$1"
    if [ -s "$d/$1.$b" ]; then
      pass "$1" || { echo "$m broken"; exit; }
    fi
    [ -n "$n" ] || break
    open "$1" "$n"
    b=$n
  done
  [ -n "$f" ] || return
  [ -e "$d/broken" ] && echo "$m full"
  case $1 in
    o) [ -n "$fo" ] || echo "$m end"; fo=1 ;;
    e) [ -n "$fe" ] || echo "$m end" >&2; fe=1 ;;
  esac
}
ended() {
  [ -z "$fx" ] && [ -e "$d/exit" ] || return
  read -r x y <"$d/exit"
  echo "$m exit $x $y"
  fx=1
}
rung() {
  case $1 in
    o|e) take "$1" ;;
    x) echo "$k $m" >"$d/want.x"; ended ;;
    stop) exit ;;
  esac
  [ -n "$fo" ] && [ -n "$fe" ] && [ -z "$fx" ] || return
  start "$kp"
  [ "$y" = "$kt" ] && return
  ended
  [ -n "$fx" ] || echo "$m orphan"
  fx=1
}
loop() {
  exec 6<>"$d/bell.$m"
  read -r kp kt x <"$d/keeper"
  fo=
  fe=
  fx=
  k=1
  seek o "$o"
  seek e "$e"
  rung o
  rung e
  rung x
  until [ "$fo$fe$fx" = 111 ]; do
    read -r x <&6
    k=$((k + 1))
    rung "$x"
  done
}
trim() {
  read -r b <"$d/first.$1"
  while [ -s "$d/$1.$b.n" ]; do
    read -r n <"$d/$1.$b.n"
    [ "$n" -le "$2" ] || break
    echo "$n" >"$d/first.$1"
    rm -f "$d/$1.$b" "$d/$1.$b.n"
    b=$n
  done
  x=
  read -r x <"$d/full.$1"
  [ -z "$x" ] || echo 1<>"$d/room.$1"
}
follow() {
  read -r q <"$d/quota"
  echo "$m begin $q" >&2
  loop &
  l=$! c=
  while IFS=" " read -r c x y; do
    case $c in
      ack) trim o "$x"; trim e "$y" ;;
      wipe) kill "$l" 2>/dev/null; wipe; exit ;;
    esac
  done
  kill "$l" 2>/dev/null
  rm -f "$d/bell.$m"
}
`;

/** For the one line of a message: mark, boot id, bytes of stdout and stderr that are had already, and the spool. */
const ATTACHER = `
umask 077
IFS=" " read -r m w o e d || exit 125
x=
[ "$w" = - ] || read -r x </proc/sys/kernel/random/boot_id
if [ "$w" = - ] || [ "$x" = "$w" ]; then
  :
else
  echo "$m restarted"
  exit
fi
if [ -O "$d" ] && [ -s "$d/leader" ]; then
  :
else
  echo "$m gone"
  exit
fi
eval "$1"
read -r p t x <"$d/keeper"
start "$p"
if [ -e "$d/exit" ] || [ "$y" = "$t" ]; then
  :
else
  echo "$m orphan"
  exit
fi
for x in "$d"/bell.*; do
  [ -p "$x" ] && echo stop 1<>"$x"
done
mkfifo "$d/bell.$m"
echo "$m attached"
follow
`;

export const FOLLOW = FOLLOWER;

/** The command of a channel that takes up a spool that is there. */
export const ATTACH = shellCommand(ATTACHER, FOLLOWER);
