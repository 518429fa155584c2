#!/bin/sh
# systemd 257 wants cgroup v2; where the engine's machine still mounts v1, give this container a v2 tree of its own.
if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
fi
exec /lib/systemd/systemd
