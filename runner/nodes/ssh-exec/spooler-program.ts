/** Bytes that a spooler takes at once; the size of a pipe. */
export const BLOCK = 65_536;
/** Segments of a stream that may wait to be acknowledged. With 2 to 4 MiB each, both streams take 64 MiB at most. */
const SEGMENTS = 8;
/**
 * `spool o` or `spool e` copies its stdin to the segments of that stream in the spool `d`, and rings whoever wants to know.
 * One `dd` takes what a pipe holds: a lone line at once, a flood in blocks. Where the file system takes no more, the
 * spooler says so and ends; the script then has nobody to write to.
 */
export const SPOOLER = `
ring() {
  w=
  y=
  read -r w y <"$d/want.$1"
  [ -n "$y" ] && [ -p "$d/bell.$y" ] || return
  [ "$w $y" = "$rung" ] && return
  rung="$w $y"
  echo "$1" 1<>"$d/bell.$y"
}
room() {
  a=
  while :; do
    l=
    c=0
    for x in $s; do
      [ -e "$d/$1.$x" ] && l="$l $x" && c=$((c + 1))
    done
    s=$l
    [ "$c" -lt ${SEGMENTS} ] && break
    if [ -n "$a" ]; then
      read -r x <&8
    else
      a=1
      echo 1 >"$d/full.$1"
    fi
  done
  [ -z "$a" ] || printf "" >"$d/full.$1"
}
turn() {
  n=0
  z=$(($(wc -c <"$d/$1.$b")))
  [ "$z" -ge $((q * ${BLOCK})) ] || return
  z=$((b + z))
  printf "" >"$d/$1.$z" || return
  echo "$z" >"$d/$1.$b.n"
  b=$z
  s="$s $b"
  room "$1"
}
spool() {
  exec 8<>"$d/room.$1"
  b=0
  n=0
  s=0
  q=
  while :; do
    x=$(LC_ALL=C dd bs=${BLOCK} count=1 2>&1 >>"$d/$1.$b")
    case $x in
      0+0*) break ;;
      [01]+[01]*) ring "$1" ;;
      *) echo 1 >"$d/broken"; break ;;
    esac
    [ -n "$q" ] || read -r q <"$d/quota"
    n=$((n + 1))
    [ "$n" -lt "$q" ] || turn "$1"
  done
  printf "" >"$d/end.$1"
  ring "$1"
}
`;
