#!/bin/sh
# systemd 257 wants cgroup v2; where the engine's machine still mounts v1, give this container a v2 tree of its own.
if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
fi
# As the kernel leaves it on a machine: without this, systemd can't hand credentials to sandboxed units.
mount --make-rshared /
exec /lib/systemd/systemd
