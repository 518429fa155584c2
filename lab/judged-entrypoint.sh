#!/bin/sh
# Benchmarks skip most of their rules in a container. The kernel's settings become a copy that takes any value, so that none
# of them reaches the machine underneath.
rm -f /.dockerenv /run/systemd/container /run/.containerenv
unset container
mkdir -p /run/lab-sys
mount -t tmpfs -o mode=0755 none /run/lab-sys
# What stays the kernel's own: a copied uuid would be the same for everybody.
mkdir /run/lab-sys/.random && mount --bind /proc/sys/kernel/random /run/lab-sys/.random
for part in kernel fs vm user dev net/core; do
    [ -d "/proc/sys/$part" ] || continue
    mkdir -p "/run/lab-sys/$part"
    (cd "/proc/sys/$part" && find . -type d) | while read -r directory; do mkdir -p "/run/lab-sys/$part/$directory"; done
    (cd "/proc/sys/$part" && find . -type f) | while read -r file; do
        cat "/proc/sys/$part/$file" > "/run/lab-sys/$part/$file" 2> /dev/null || :
        chmod 0644 "/run/lab-sys/$part/$file"
    done
    mount --bind "/run/lab-sys/$part" "/proc/sys/$part"
done
mount --bind /run/lab-sys/.random /proc/sys/kernel/random
exec /lab-entrypoint
