/** Functions that several of the remote programs share, as text of a POSIX shell. */

/** `start PID` sets `y` to what tells a process from a later one of the same pid; empty if it has ended. */
export const START_OF = `
start() {
  y=
  if [ -r "/proc/$1/stat" ]; then
    read -r y <"/proc/$1/stat"
    set -- \${y##*) }
    shift 19
    y=$1
  elif [ -r /proc/self/stat ]; then
    :
  else
    y=$(ps -o lstart= -p "$1" 2>/dev/null | tr -s " " _)
  fi
}
`;

/**
 * `wipe` removes the spool in `d`, then ends its keeper and all that belongs to it. The folder is renamed first: for
 * whoever still writes into it, it is gone at once.
 */
export const WIPE = `
wipe() {
  p=
  read -r p t g <"$d/keeper"
  start "\${p:-0}"
  mv "$d" "$d.$$" && rm -rf "$d.$$"
  echo "$m wiped"
  [ -n "$p" ] && [ "$y" = "$t" ] || return
  [ "$p" = "$g" ] && kill -KILL "-$p"
  kill -KILL "$p"
} 2>/dev/null
`;
