# A lab host that outside judges take for a virtual machine: what a machine carries, and no sign of a container.
ARG BASE
FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends cron kmod linux-base logrotate
COPY judged-entrypoint.sh /lab-judged-entrypoint
ENTRYPOINT ["/lab-judged-entrypoint"]
