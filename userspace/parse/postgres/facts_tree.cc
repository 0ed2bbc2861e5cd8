#include "parse/postgres/facts_tree.h"

#include <unordered_map>

namespace weir::postgres {

namespace {

using DescriptorKinds = std::unordered_map<const ProtobufCMessageDescriptor*, NodeCase>;

// The Node message lists every kind: its field numbers are the enumerators of NodeCase.
DescriptorKinds make_kinds() {
  DescriptorKinds kinds;
  const ProtobufCMessageDescriptor& node = pg_query__node__descriptor;
  for (unsigned i = 0; i < node.n_fields; ++i) {
    kinds.emplace(static_cast<const ProtobufCMessageDescriptor*>(node.fields[i].descriptor), static_cast<NodeCase>(node.fields[i].id));
  }
  return kinds;
}

const DescriptorKinds& kinds() {
  static const DescriptorKinds map = make_kinds();  // Constant once made.
  return map;
}

template <class T>
const T& member(const ProtobufCMessage& message, unsigned offset) {
  return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(&message) + offset);
}

void add(const ProtobufCMessage* child, std::vector<const ProtobufCMessage*>& out) {
  if (child != nullptr && child->descriptor == &pg_query__node__descriptor) child = content(reinterpret_cast<const PgQuery__Node*>(child));
  if (child != nullptr) out.push_back(child);
}

}  // namespace

NodeNote note_of_node(NodeCase kind) {
  using enum Verb;
  using enum Shape;
  switch (kind) {
#define N(name, node_role, verb_set, shape_set) \
  case PG_QUERY__NODE__NODE_##name: return {NodeRole::node_role, static_cast<VerbSet>(verb_set), static_cast<ShapeSet>(shape_set)};
#include "parse/postgres/facts_nodes.def"
#undef N
    case PG_QUERY__NODE__NODE__NOT_SET: return {NodeRole::kPart, 0, 0};
    case _PG_QUERY__NODE__NODE__CASE_IS_INT_SIZE: break;
  }
  return {};
}

NodeCase kind_of(const ProtobufCMessage& message) {
  const auto found = kinds().find(message.descriptor);
  return found == kinds().end() ? PG_QUERY__NODE__NODE__NOT_SET : found->second;
}

std::string_view name_of_message(const ProtobufCMessage& message) { return message.descriptor->short_name; }

const ProtobufCMessage* content(const PgQuery__Node* node) {
  if (node == nullptr || node->node_case == PG_QUERY__NODE__NODE__NOT_SET) return nullptr;
  return reinterpret_cast<const ProtobufCMessage*>(node->alias);  // All members of the union are message pointers.
}

void children(const ProtobufCMessage& message, std::vector<const ProtobufCMessage*>& out) {
  const ProtobufCMessageDescriptor& descriptor = *message.descriptor;
  for (unsigned i = 0; i < descriptor.n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = descriptor.fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const std::size_t count = member<std::size_t>(message, field.quantifier_offset);
      const auto* const* const list = member<const ProtobufCMessage* const*>(message, field.offset);
      for (std::size_t k = 0; k < count; ++k) add(list[k], out);
    } else if ((field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 || member<uint32_t>(message, field.quantifier_offset) == field.id) {
      add(member<const ProtobufCMessage*>(message, field.offset), out);
    }
  }
}

std::string_view string_of(const PgQuery__Node* node) {
  return node != nullptr && node->node_case == PG_QUERY__NODE__NODE_STRING ? text_of(node->string->sval) : std::string_view{};
}

bool constant_text(const PgQuery__Node* node, std::string_view& text) {
  if (node == nullptr) return false;
  if (node->node_case == PG_QUERY__NODE__NODE_STRING) {
    text = text_of(node->string->sval);
    return true;
  }
  if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) return constant_text(node->type_cast->arg, text);
  if (node->node_case != PG_QUERY__NODE__NODE_A_CONST || node->a_const->isnull || node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) return false;
  text = text_of(node->a_const->sval->sval);
  return true;
}

}  // namespace weir::postgres
