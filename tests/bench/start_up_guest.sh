# From the command to tracing, zfstop beside zfsslower, taking turns. In the lab's machine:
#   python3 tests/lab/lab.py exec --timeout 1500 trixie -- "$(cat tests/bench/start_up_guest.sh)"
# zfstop: until its {"type":"start"} line (attached, filters in force), compiling everything (cold) or with what was
# compiled before (warm; kprobe: the same by kprobe pairs). zfsslower: until its first line ("Tracing ...").
set -u
cd /tmp
now() { date +%s%N; }
# until FILE TEXT PROCESS: waits for TEXT; fails when the process ends before
until_said() {
  while ! grep -q "$2" "$1" 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || { cat "$1"; return 1; }
    sleep 0.05
  done
}
# turn NAME TEXT COMMAND...
turn() {
  name=$1 text=$2
  shift 2
  : >said
  begun=$(now)
  PYTHONUNBUFFERED=1 "$@" >said 2>&1 &
  tool=$!
  if until_said said "$text" $tool; then
    spent=$((($(now) - begun) / 1000000))
    printf '%-12s %8d ms\n' "$name" $spent
    echo $spent >>"times.$name"
  fi
  # A shell without a terminal lets its children ignore SIGINT, and Python then does.
  kill -INT $tool 2>/dev/null
  sleep 1
  kill -TERM $tool 2>/dev/null
  wait $tool 2>/dev/null
}
middle() { sort -n "times.$1" | sed -n "$((($(wc -l <"times.$1") + 1) / 2))p"; }

# What pip does when it installs; the lab's machine is packed for without it.
python -m compileall -q "$LAB"/venv/lib/python3*/site-packages/zfstop
rm -f times.*
turn filling '"type":"start"' zfstop trace 10ms --format json
for _ in $(seq 1 "${RUNS:-3}"); do
  turn cold '"type":"start"' env ZFSTOP_CACHE= zfstop trace 10ms --format json
  turn warm '"type":"start"' zfstop trace 10ms --format json
  turn kprobe '"type":"start"' env ZFSTOP_ATTACH=kprobe zfstop trace 10ms --format json
  turn zfsslower Tracing zfsslower-bpfcc 10
done
echo
for name in cold warm kprobe zfsslower; do
  [ -s "times.$name" ] && printf 'median %-12s %8d ms\n' "$name" "$(middle "$name")"
done
for name in cold warm kprobe; do
  [ -s "times.$name" ] && [ -s times.zfsslower ] &&
    awk -v n=$name -v a="$(middle $name)" -v b="$(middle zfsslower)" 'BEGIN { printf "zfsslower / zfstop %s: %.1f\n", n, b / a }'
done
