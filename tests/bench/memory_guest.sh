# Resident memory of the live screen while many files are read and written. In the lab's machine:
#   python3 tests/lab/lab.py exec --timeout 900 trixie -- "$(cat tests/bench/memory_guest.sh)"
# Threshold 0: every call is shown, and the ring's pages become resident as they are read (a window of 1 MiB of each).
set -u
busy() {
  mkdir -p /tank/data/many
  while :; do
    for i in $(seq 1 400); do
      dd if=/dev/zero of=/tank/data/many/f$i bs=4k count=1 conv=notrunc status=none
    done
    cat /tank/data/many/* >/dev/null
  done
}
busy &
load=$!
echo "idle, 10ms"
python "$LAB/tests/bench/memory.py" 60 10ms
echo "busy, threshold 0"
python "$LAB/tests/bench/memory.py" "${SECONDS_BUSY:-120}" 0
kill $load
