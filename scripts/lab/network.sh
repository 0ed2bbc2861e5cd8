# The lab's three namespaces and two links.  Read by lab.sh.
# The gateway forwards between the links until weir steers; nothing else is reachable from inside.

network_up() {
  local namespace
  for namespace in "$client_namespace" "$gateway_namespace" "$target_namespace"; do
    ip netns add "$namespace"
    # No duplicate address detection: an address is usable at once.
    inside "$namespace" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    ip -n "$namespace" link set lo up
  done
  network_link "$client_namespace" veth-client 1
  network_link "$target_namespace" veth-target 2
  inside "$gateway_namespace" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  mkdir -p "$run_folder/bpf"
  mount -t bpf bpf "$run_folder/bpf"
}

# One veth pair: eth0 in `namespace`, `gateway_end` in the gateway; 198.18.NET.0/24 and fd57:NET::/64.
network_link() {
  local namespace=$1 gateway_end=$2 net=$3
  ip link add eth0 netns "$namespace" type veth peer name "$gateway_end" netns "$gateway_namespace"
  ip -n "$namespace" addr add "198.18.$net.2/24" dev eth0
  ip -n "$namespace" addr add "fd57:$net::2/64" dev eth0 nodad
  ip -n "$gateway_namespace" addr add "198.18.$net.1/24" dev "$gateway_end"
  ip -n "$gateway_namespace" addr add "fd57:$net::1/64" dev "$gateway_end" nodad
  ip -n "$namespace" link set eth0 up
  ip -n "$gateway_namespace" link set "$gateway_end" up
  ip -n "$namespace" route add default via "198.18.$net.1"
  ip -n "$namespace" route add default via "fd57:$net::1"
}

network_down() {
  local namespace
  for namespace in "$client_namespace" "$gateway_namespace" "$target_namespace"; do
    [ ! -e "/run/netns/$namespace" ] || ip netns del "$namespace"
  done
  if mountpoint -q "$run_folder/bpf"; then umount "$run_folder/bpf"; fi
}
