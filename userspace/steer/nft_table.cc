#include "steer/nft_table.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "steer/netlink_attributes.h"

namespace weir::steer {
namespace {

constexpr std::size_t kBatchSize = 16384;
constexpr std::size_t kAnswerSize = 32768;
constexpr int kAnswersMax = 256;
constexpr int32_t kPriorityRaw = -300;       // NF_IP_PRI_RAW: before conntrack.
constexpr uint32_t kRules = 5;

struct SocketCloser { void operator()(mnl_socket* socket) const { mnl_socket_close(socket); } };
using Socket = std::unique_ptr<mnl_socket, SocketCloser>;

tl::unexpected<Error> nft_error(int code) {
  Error::Kind kind = Error::Kind::kSystem;
  if (code == EPERM || code == EACCES) kind = Error::Kind::kDenied;
  if (code == EOPNOTSUPP || code == EPROTONOSUPPORT) kind = Error::Kind::kUnavailable;
  return fail(kind, std::string("nftables: ") + std::strerror(code), code);
}

Result<Socket> open_socket() {
  Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return nft_error(errno);
  return socket;
}

// Messages of one transaction, in one buffer.  The sizes are fixed and far below the buffer's.
class Batch {
 public:
  Batch() { begin(NFNL_MSG_BATCH_BEGIN, AF_UNSPEC, NFNL_SUBSYS_NFTABLES); }
  nlmsghdr* add(uint16_t type, uint16_t flags) {
    nlmsghdr* message = begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), NFPROTO_INET, 0);
    message->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    ++acknowledged_;
    return message;
  }
  // All or nothing.  The first error counts, unless it is the forgiven one.
  Result<void> run(int forgiven_errno) {
    begin(NFNL_MSG_BATCH_END, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    close_last();
    auto socket = open_socket();
    if (!socket) return tl::unexpected<Error>(socket.error());
    if (mnl_socket_sendto(socket->get(), buffer_.data(), used_) < 0) return nft_error(errno);
    std::array<char, kAnswerSize> answer;
    int error = 0;
    for (uint32_t answers = 0; answers < acknowledged_; ++answers) {
      const ssize_t size = mnl_socket_recvfrom(socket->get(), answer.data(), answer.size());
      if (size < 0) return nft_error(errno);
      const int state = mnl_cb_run(answer.data(), static_cast<std::size_t>(size), 0, mnl_socket_get_portid(socket->get()), nullptr, nullptr);
      if (state < 0) error = errno;
      if (error != 0) break;
    }
    if (error != 0 && error != forgiven_errno) return nft_error(error);
    return {};
  }

 private:
  nlmsghdr* begin(uint16_t type, uint8_t family, uint16_t resource) {
    close_last();
    nlmsghdr* message = mnl_nlmsg_put_header(buffer_.data() + used_);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST;
    message->nlmsg_seq = sequence_++;
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
    header->res_id = htons(resource);
    last_ = message;
    return message;
  }
  void close_last() {
    if (last_ != nullptr) used_ += NLMSG_ALIGN(last_->nlmsg_len);
    last_ = nullptr;
  }

  alignas(nlmsghdr) std::array<char, kBatchSize> buffer_{};
  std::size_t used_ = 0;
  nlmsghdr* last_ = nullptr;
  uint32_t sequence_ = 1;
  uint32_t acknowledged_ = 0;
};

void add_table(Batch& batch, uint16_t type, uint16_t flags) {
  nlmsghdr* message = batch.add(type, flags);
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, NftTable::kName);
}

void add_chain(Batch& batch, const char* name, uint32_t hook) {
  nlmsghdr* message = batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
  mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, NftTable::kName);
  mnl_attr_put_strz(message, NFTA_CHAIN_NAME, name);
  mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "filter");
  nlattr* nest = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
  mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(hook));
  mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl(static_cast<uint32_t>(kPriorityRaw)));
  mnl_attr_nest_end(message, nest);
  mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
}

void put_value(nlmsghdr* message, uint16_t type, uint32_t value) {  // Registers hold a mark in host order.
  nlattr* nest = mnl_attr_nest_start(message, type);
  mnl_attr_put_u32(message, NFTA_DATA_VALUE, value);
  mnl_attr_nest_end(message, nest);
}

void put_byte(nlmsghdr* message, uint16_t type, uint32_t value) {
  nlattr* nest = mnl_attr_nest_start(message, type);
  mnl_attr_put_u8(message, NFTA_DATA_VALUE, static_cast<uint8_t>(value));
  mnl_attr_nest_end(message, nest);
}

template <class Fill>
void put_expression(nlmsghdr* message, const char* name, Fill fill) {
  nlattr* element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
  mnl_attr_put_strz(message, NFTA_EXPR_NAME, name);
  nlattr* data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
  fill();
  mnl_attr_nest_end(message, data);
  mnl_attr_nest_end(message, element);
}

void put_compare_byte(nlmsghdr* message, nft_cmp_ops operation, uint32_t value) {
  put_expression(message, "cmp", [&] {
    mnl_attr_put_u32(message, NFTA_CMP_SREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_CMP_OP, htonl(operation));
    put_byte(message, NFTA_CMP_DATA, value);
  });
}

enum class Then : uint8_t { kNotrack, kNotrackAndReset };

// meta mark & MASK == MARK notrack [reject with tcp reset]
void add_rule(Batch& batch, const char* chain, uint32_t mask, uint32_t mark, Then then) {
  nlmsghdr* message = batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  mnl_attr_put_strz(message, NFTA_RULE_TABLE, NftTable::kName);
  mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
  nlattr* list = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
  put_expression(message, "meta", [&] {
    mnl_attr_put_u32(message, NFTA_META_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_META_KEY, htonl(NFT_META_MARK));
  });
  put_expression(message, "bitwise", [&] {
    mnl_attr_put_u32(message, NFTA_BITWISE_SREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_BITWISE_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_BITWISE_LEN, htonl(4));
    put_value(message, NFTA_BITWISE_MASK, mask);
    put_value(message, NFTA_BITWISE_XOR, 0);
  });
  put_expression(message, "cmp", [&] {
    mnl_attr_put_u32(message, NFTA_CMP_SREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
    put_value(message, NFTA_CMP_DATA, mark);
  });
  put_expression(message, "notrack", [] {});
  if (then == Then::kNotrackAndReset) {
    put_expression(message, "reject", [&] { mnl_attr_put_u32(message, NFTA_REJECT_TYPE, htonl(NFT_REJECT_TCP_RST)); });
  }
  mnl_attr_nest_end(message, list);
}

// meta l4proto tcp, tcp flags & rst != 0, fib saddr type != local: notrack.  The RST that the rule above makes is a packet of
// no connection to conntrack; no other program of this host sends from an address that is not its own.
void add_reset_rule(Batch& batch, const char* chain) {
  constexpr uint32_t kFlagsOffset = 13, kReset = 0x04, kProtocolTcp = 6;
  nlmsghdr* message = batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  mnl_attr_put_strz(message, NFTA_RULE_TABLE, NftTable::kName);
  mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
  nlattr* list = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
  put_expression(message, "meta", [&] {
    mnl_attr_put_u32(message, NFTA_META_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_META_KEY, htonl(NFT_META_L4PROTO));
  });
  put_compare_byte(message, NFT_CMP_EQ, kProtocolTcp);
  put_expression(message, "payload", [&] {
    mnl_attr_put_u32(message, NFTA_PAYLOAD_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_PAYLOAD_BASE, htonl(NFT_PAYLOAD_TRANSPORT_HEADER));
    mnl_attr_put_u32(message, NFTA_PAYLOAD_OFFSET, htonl(kFlagsOffset));
    mnl_attr_put_u32(message, NFTA_PAYLOAD_LEN, htonl(1));
  });
  put_expression(message, "bitwise", [&] {
    mnl_attr_put_u32(message, NFTA_BITWISE_SREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_BITWISE_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_BITWISE_LEN, htonl(1));
    put_byte(message, NFTA_BITWISE_MASK, kReset);
    put_byte(message, NFTA_BITWISE_XOR, 0);
  });
  put_compare_byte(message, NFT_CMP_NEQ, 0);
  put_expression(message, "fib", [&] {
    mnl_attr_put_u32(message, NFTA_FIB_DREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_FIB_RESULT, htonl(NFT_FIB_RESULT_ADDRTYPE));
    mnl_attr_put_u32(message, NFTA_FIB_FLAGS, htonl(NFTA_FIB_F_SADDR));
  });
  put_expression(message, "cmp", [&] {
    mnl_attr_put_u32(message, NFTA_CMP_SREG, htonl(NFT_REG_1));
    mnl_attr_put_u32(message, NFTA_CMP_OP, htonl(NFT_CMP_NEQ));
    put_value(message, NFTA_CMP_DATA, RTN_LOCAL);
  });
  put_expression(message, "notrack", [] {});
  mnl_attr_nest_end(message, list);
}

// Asks for one table, or dumps its rules; `visit` sees each answer.
template <class Visit>
Result<void> ask(uint16_t type, bool is_dump, Visit visit) {
  auto socket = open_socket();
  if (!socket) return tl::unexpected<Error>(socket.error());
  alignas(nlmsghdr) std::array<char, kAnswerSize> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
  request->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | (is_dump ? NLM_F_DUMP : NLM_F_ACK));
  request->nlmsg_seq = 1;
  auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)));
  header->nfgen_family = NFPROTO_INET;
  header->version = NFNETLINK_V0;
  static_assert(static_cast<int>(NFTA_RULE_TABLE) == static_cast<int>(NFTA_TABLE_NAME));
  mnl_attr_put_strz(request, NFTA_TABLE_NAME, NftTable::kName);
  if (mnl_socket_sendto(socket->get(), request, request->nlmsg_len) < 0) return nft_error(errno);
  for (int answers = 0; answers < kAnswersMax; ++answers) {
    const ssize_t size = mnl_socket_recvfrom(socket->get(), buffer.data(), buffer.size());
    if (size < 0) return nft_error(errno);
    const int state = mnl_cb_run(
        buffer.data(), static_cast<std::size_t>(size), 1, mnl_socket_get_portid(socket->get()),
        [](const nlmsghdr* message, void* data) {
          (*static_cast<Visit*>(data))(message);
          return MNL_CB_OK;
        },
        &visit);
    if (state < 0) return nft_error(errno);
    if (state == MNL_CB_STOP) break;
  }
  return {};
}

}  // namespace

std::string NftTable::text() const {
  char buffer[448];
  std::snprintf(buffer, sizeof buffer,
                "nft table inet %s { prerouting raw: meta mark & 0x%x == 0x%x notrack; meta mark & 0x%x == 0x%x notrack reject with tcp reset; "
                "output raw: meta mark & 0x%x == {0x%x, 0x%x} notrack; tcp flags rst fib saddr type != local notrack }",
                kName, mark_mask, steered, mark_mask, reset, mark_mask, upstream, client_leg);
  return buffer;
}

Result<void> NftTable::create() const {
  Batch batch;
  add_table(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);  // So that there is one to delete.
  add_table(batch, NFT_MSG_DELTABLE, 0);
  add_table(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
  add_chain(batch, "prerouting", NF_INET_PRE_ROUTING);
  add_chain(batch, "output", NF_INET_LOCAL_OUT);
  add_rule(batch, "prerouting", mark_mask, steered, Then::kNotrack);
  add_rule(batch, "prerouting", mark_mask, reset, Then::kNotrackAndReset);
  add_rule(batch, "output", mark_mask, upstream, Then::kNotrack);
  add_rule(batch, "output", mark_mask, client_leg, Then::kNotrack);
  add_reset_rule(batch, "output");
  return batch.run(0);
}

Result<void> NftTable::remove() {
  Batch batch;
  add_table(batch, NFT_MSG_DELTABLE, 0);
  return batch.run(ENOENT);
}

Result<std::optional<std::string>> NftTable::check() const {
  bool is_dormant = false, is_there = false;
  auto asked = ask(NFT_MSG_GETTABLE, false, [&](const nlmsghdr* message) {
    is_there = true;
    walk_attributes(message, sizeof(nfgenmsg), [&](uint16_t type, const nlattr* attribute) {
      if (type == NFTA_TABLE_FLAGS) is_dormant = (ntohl(mnl_attr_get_u32(attribute)) & NFT_TABLE_F_DORMANT) != 0;
    });
  });
  if (!asked && asked.error().code != ENOENT) return tl::unexpected<Error>(asked.error());
  if (!is_there) return std::optional<std::string>("no table inet weir");
  if (is_dormant) return std::optional<std::string>("the table is dormant");
  uint32_t rules = 0;
  asked = ask(NFT_MSG_GETRULE, true, [&](const nlmsghdr* message) {
    walk_attributes(message, sizeof(nfgenmsg), [&](uint16_t type, const nlattr* attribute) {
      if (type == NFTA_RULE_TABLE && std::strcmp(mnl_attr_get_str(attribute), kName) == 0) ++rules;
    });
  });
  if (!asked) return tl::unexpected<Error>(asked.error());
  if (rules != kRules) return std::optional<std::string>(std::to_string(rules) + " of " + std::to_string(kRules) + " rules");
  return std::optional<std::string>{};
}

}  // namespace weir::steer
