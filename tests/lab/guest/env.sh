# The environment of everything that runs in the guest.
export LAB=/run/lab
export LAB_OUT=$LAB/out
export LAB_DISKS=$LAB/disks
export LAB_WORKLOAD=$LAB/workload
export PATH=$LAB/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 TERM=xterm-256color PYTHONDONTWRITEBYTECODE=
cd "$LAB"
