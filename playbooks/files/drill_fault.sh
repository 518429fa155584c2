#!/bin/sh
# drill_fault.sh FAULT SECONDS: makes one thing fail on this host, and sees to it that it ends by itself.
set -eu
fault=$1 seconds=$2

later() { systemd-run --quiet --collect --on-active="$seconds" --timer-property=AccuracySec=100ms "$@"; }

# All but SSH, by which the drill is led, and loopback.
cut_off() {
    later nft delete table inet aigo_drill
    nft -f - <<'RULES'
table inet aigo_drill {
    chain input {
        type filter hook input priority -300; policy drop;
        iifname lo accept
        tcp dport 22 accept
    }
    chain output {
        type filter hook output priority -300; policy drop;
        oifname lo accept
        tcp sport 22 accept
    }
}
RULES
}

main_pid() { systemctl show --value --property=MainPID "$1"; }

case $fault in
    postgres_kill) kill -9 "$(head -n 1 /var/lib/postgresql/*/*/postmaster.pid)" ;;
    postgres_frozen) later kill -CONT "$(main_pid patroni)"; kill -STOP "$(main_pid patroni)" ;;
    postgres_cut_off | edge_cut_off) cut_off ;;
    etcd_without_quorum) later systemctl start etcd.service; systemctl stop etcd.service ;;
    redis_kill) kill -9 "$(main_pid redis-server)" ;;
    redis_frozen) later kill -CONT "$(main_pid redis-server)"; kill -STOP "$(main_pid redis-server)" ;;
    edge_stopped) later systemctl start nginx.service; systemctl stop nginx.service ;;
    app_kill) systemctl kill --signal=KILL aigo-api@main.service ;;
    *) echo "drill_fault.sh: $fault is no fault that it knows" >&2; exit 2 ;;
esac
