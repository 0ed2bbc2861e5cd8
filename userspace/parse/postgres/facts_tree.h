// Parse trees of libpg_query as protobuf-c messages, walked by their descriptors: nothing in a tree can be missed for want
// of a case.  Iterative: the depth of a tree costs heap, not stack.
#pragma once
#include <pg_query/pg_query.pb-c.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/facts.h"

namespace weir::postgres {

using NodeCase = PgQuery__Node__NodeCase;

enum class NodeRole : uint8_t { kStatement, kPart, kNever };
struct NodeNote {
  NodeRole role = NodeRole::kNever;
  VerbSet verbs = 0;
  ShapeSet shapes = 0;
};
// By facts_nodes.def.  A kind that libpg_query adds and the table does not know is kNever.
NodeNote note_of_node(NodeCase kind);
// The kind of a message that stands in a tree without a Node round it; NODE__NOT_SET: helper messages and lists of Node.
NodeCase kind_of(const ProtobufCMessage& message);
// "SelectStmt".
std::string_view name_of_message(const ProtobufCMessage& message);
// What a Node holds; null for an empty one.
const ProtobufCMessage* content(const PgQuery__Node* node);

// Sub-messages of `message`, in field order; Nodes are opened.  Appends to `out`.
void children(const ProtobufCMessage& message, std::vector<const ProtobufCMessage*>& out);

// Calls visit(kind, message) for `root` and all below it, parents first, in text order.  Stops when it says false.
template <class Visit>
bool for_each_message(const ProtobufCMessage& root, Visit visit) {
  std::vector<const ProtobufCMessage*> stack{&root}, below;
  while (!stack.empty()) {
    const ProtobufCMessage* const message = stack.back();
    stack.pop_back();
    if (!visit(kind_of(*message), *message)) return false;
    below.clear();
    children(*message, below);
    stack.insert(stack.end(), below.rbegin(), below.rend());
  }
  return true;
}

// Lists and strings of the generated structs.
using NodeList = std::span<PgQuery__Node* const>;
inline NodeList node_list(PgQuery__Node* const* nodes, std::size_t count) { return {nodes, count}; }
#define WEIR_NODES(message, field) ::weir::postgres::node_list((message).field, (message).n_##field)

inline std::string_view text_of(const char* text) { return text == nullptr ? std::string_view{} : std::string_view(text); }
// The text of a String node; empty for others.
std::string_view string_of(const PgQuery__Node* node);
// A string constant (A_Const or String): true and its text.
bool constant_text(const PgQuery__Node* node, std::string_view& text);

template <class Message>
const Message& as(const ProtobufCMessage& message) { return reinterpret_cast<const Message&>(message); }

}  // namespace weir::postgres
