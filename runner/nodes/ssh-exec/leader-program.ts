/**
 * $1 is the spool, $2 the umask that the login gave. After the settings: $1 spool, $2 umask, $3 start time, $4 boot id,
 * $5… the interpreter's command line.
 */
export const LEADER = `
exec <"$1/gate" >"$1/out" 2>"$1/err"
t=
b=
if [ -r "/proc/$$/stat" ]; then
  read -r t <"/proc/$$/stat"
  d=$1
  u=$2
  set -- \${t##*) }
  shift 19
  t=$1
  set -- "$d" "$u"
else
  t=$(ps -o lstart= -p $$ | tr -s " " _)
fi
if [ -r /proc/sys/kernel/random/boot_id ]; then
  read -r b </proc/sys/kernel/random/boot_id
fi
set -- "$1" "$2" "\${t:--}" "\${b:--}"
. "$1/settings"
if command -v "$5" >/dev/null 2>&1; then
  :
else
  echo interpreter >"$1/ready"
  exit 125
fi
echo "$$ $3 $4" >"$1/leader"
echo "started $$ $3 $4" >"$1/ready"
read -r OUTRIDER_GATE || exit 125
unset OUTRIDER_GATE
umask "$2"
shift 4
exec "$@" </dev/null
`;
