// Which base columns the value of an expression may come from.
#include <algorithm>

#include "parse/postgres/facts_functions.h"
#include "parse/postgres/facts_walker.h"

namespace weir::postgres {

namespace {

bool is_system_column(std::string_view name) {
  return name == "ctid" || name == "xmin" || name == "xmax" || name == "cmin" || name == "cmax" || name == "tableoid";
}

bool same_reference(const PgQuery__Node* left, const PgQuery__Node* right) {
  if (left == nullptr || right == nullptr || left->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || right->node_case != left->node_case) return false;
  const NodeList a = WEIR_NODES(*left->column_ref, fields), b = WEIR_NODES(*right->column_ref, fields);
  return std::ranges::equal(a, b, [](const PgQuery__Node* x, const PgQuery__Node* y) { return string_of(x) == string_of(y); });
}

}  // namespace

void FactsWalker::merge_into(Value& into, const Value& other) {
  into.is_sure &= other.is_sure;
  into.is_exact = false;
  if (other.origins.empty() || !spend(other.origins.size())) return;
  if (into.origins.empty()) {
    into.origins = other.origins;
    return;
  }
  if (std::ranges::includes(into.origins, other.origins)) return;
  if (!spend(into.origins.size())) return;
  std::vector<uint16_t> merged;
  merged.reserve(into.origins.size() + other.origins.size());
  std::ranges::set_union(into.origins, other.origins, std::back_inserter(merged));
  into.origins = std::move(merged);
}

Value FactsWalker::eval_list(NodeList list, const Scope* scope, bool is_filter) {
  Value value;
  for (const PgQuery__Node* node : list) merge_into(value, eval(node, scope, is_filter));
  return value;
}

// Any construct that has no case of its own: all that is in it may be in its value.
Value FactsWalker::eval_children(const ProtobufCMessage& message, const Scope* scope, bool is_filter) {
  Value value;
  const DepthGuard guard(*this);
  if (!guard.is_ok()) return value;
  std::vector<const ProtobufCMessage*> below;
  children(message, below);
  for (const ProtobufCMessage* child : below) {
    const NodeCase kind = kind_of(*child);
    PgQuery__Node node = PG_QUERY__NODE__INIT;
    node.node_case = kind;
    node.alias = const_cast<PgQuery__Alias*>(&as<PgQuery__Alias>(*child));  // A union of pointers; eval() only reads.
    merge_into(value, kind == PG_QUERY__NODE__NODE__NOT_SET ? eval_children(*child, scope, is_filter) : eval(&node, scope, is_filter));
  }
  return value;
}

Value FactsWalker::eval(const PgQuery__Node* node, const Scope* scope, bool is_filter) {
  if (node == nullptr) return {};
  const DepthGuard guard(*this);
  if (!guard.is_ok()) return {};
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
    case PG_QUERY__NODE__NODE_PARAM_REF:
    case PG_QUERY__NODE__NODE_SET_TO_DEFAULT:
    case PG_QUERY__NODE__NODE_STRING:
    case PG_QUERY__NODE__NODE_INTEGER:
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
    case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR:
    case PG_QUERY__NODE__NODE_TYPE_NAME: return {};
    case PG_QUERY__NODE__NODE_COLUMN_REF: {
      Value value = column_reference(*node->column_ref, scope);
      if (is_filter) mark_filter(value);
      return value;
    }
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
      Value value = eval(node->type_cast->arg, scope, is_filter);
      value.is_exact = false;
      return value;
    }
    case PG_QUERY__NODE__NODE_A_EXPR: {
      Value value = eval_children(*content(node), scope, is_filter);
      if (!is_plain_operator(*node->a_expr)) value.is_sure = false;  // Some function's result.
      return value;
    }
    case PG_QUERY__NODE__NODE_SUB_LINK: return sub_link(*node->sub_link, scope, is_filter);
    case PG_QUERY__NODE__NODE_CASE_EXPR: return case_expression(*node->case_expr, scope, is_filter);
    case PG_QUERY__NODE__NODE_FUNC_CALL: return call_value(*node->func_call, scope, is_filter);
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return indirection(*node->a_indirection, scope, is_filter);
    default: break;  // Their enumerators, not ours: the rest is the sum of its parts.
  }
  if (note_of_node(node->node_case).role == NodeRole::kStatement) {
    Value value;
    for (const ResultColumn& column : statement(node, scope).columns) merge_into(value, column.value);
    return value;
  }
  return eval_children(*content(node), scope, is_filter);
}

Value FactsWalker::sub_link(const PgQuery__SubLink& link, const Scope* scope, bool is_filter) {
  Value value = eval(link.testexpr, scope, is_filter);
  const QueryResult result = statement(link.subselect, scope);
  const bool is_exists = link.sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK;
  for (const ResultColumn& column : result.columns) {
    if (is_filter && !is_exists) mark_filter(column.value);
    if (!is_exists) merge_into(value, column.value);
  }
  if (!is_exists && !result.is_known) value.is_sure = false;
  if (link.testexpr == nullptr && result.columns.size() == 1 && link.sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK) {
    value.is_exact = result.columns.front().value.is_exact;
  }
  return value;
}

Value FactsWalker::case_expression(const PgQuery__CaseExpr& expression, const Scope* scope, bool is_filter) {
  Value value = eval(expression.arg, scope, true);
  for (const PgQuery__Node* when : WEIR_NODES(expression, args)) {
    if (when->node_case != PG_QUERY__NODE__NODE_CASE_WHEN) continue;
    merge_into(value, eval(when->case_when->expr, scope, true));
    merge_into(value, eval(when->case_when->result, scope, is_filter));
  }
  merge_into(value, eval(expression.defresult, scope, is_filter));
  return value;
}

Value FactsWalker::call_value(const PgQuery__FuncCall& call, const Scope* scope, bool is_filter) {
  const NodeList parts = WEIR_NODES(call, funcname);
  const std::string_view name = parts.empty() ? std::string_view{} : string_of(parts.back());
  const std::string_view schema = parts.size() > 1 ? string_of(parts[parts.size() - 2]) : std::string_view{};
  const bool only_reads = is_cleared(schema, name);
  const bool is_trusted = only_reads && note_of_function(schema, name).is_cleared;
  Value value = eval_list(WEIR_NODES(call, args), scope, is_filter || !only_reads);
  merge_into(value, eval_list(WEIR_NODES(call, agg_order), scope, true));
  eval(call.agg_filter, scope, true);
  window(call.over, scope);
  value.is_exact = false;
  if (!is_trusted) value.is_sure = false;  // It may read anything.
  return value;
}

void FactsWalker::window(const PgQuery__WindowDef* definition, const Scope* scope) {
  if (definition == nullptr) return;
  eval_list(WEIR_NODES(*definition, partition_clause), scope, true);
  eval_list(WEIR_NODES(*definition, order_clause), scope, true);
  eval(definition->start_offset, scope, true);
  eval(definition->end_offset, scope, true);
}

// (x).name, x[1], (x).*: a part of x.  `(t).f` may also be the call f(t).
Value FactsWalker::indirection(const PgQuery__AIndirection& node, const Scope* scope, bool is_filter) {
  Value value = eval(node.arg, scope, is_filter);
  value.is_exact = false;
  for (const PgQuery__Node* part : WEIR_NODES(node, indirection)) {
    if (part->node_case == PG_QUERY__NODE__NODE_A_INDICES) {
      merge_into(value, eval(part->a_indices->lidx, scope, true));
      merge_into(value, eval(part->a_indices->uidx, scope, true));
    }
    const std::string_view name = string_of(part);
    if (!name.empty() && (catalogue_ == nullptr || catalogue_->function_is_shadowed(name, search_path_))) {
      add_function({}, name, is_cleared({}, name));
    }
  }
  return value;
}

Value FactsWalker::value_of(const VisibleColumn& visible, std::string_view name) {
  if (visible.value != nullptr) return *visible.value;
  if (visible.open != nullptr) return item_column(*visible.open, name);
  Value value;
  value.origins.push_back(column(visible.relation, name));
  value.is_exact = true;
  value.is_sure = catalogue_relation(visible.relation) != nullptr;
  return value;
}

Value FactsWalker::item_column(const RangeItem& item, std::string_view name) {
  for (const VisibleColumn& visible : item.columns) {
    if (visible.open == nullptr && visible.name == name) return value_of(visible, name);
  }
  const bool is_open = std::ranges::any_of(item.columns, [](const VisibleColumn& visible) { return visible.open != nullptr; });
  if (is_open) {
    if (!item.is_base) return item.any;
    Value value;
    value.origins.push_back(column(item.relation, name));
    value.is_exact = true;
    value.is_sure = false;
    return value;
  }
  if (is_system_column(name)) return {};
  // name(item), called in the manner of a column.
  add_function({}, name, false);
  Value value = whole_row(item);
  value.is_sure = false;
  mark_filter(value);
  return value;
}

Value FactsWalker::whole_row(const RangeItem& item) {
  Value value;
  for (const VisibleColumn& visible : item.columns) {
    if (visible.open == nullptr) {
      merge_into(value, value_of(visible, visible.name));
      continue;
    }
    merge_into(value, item.is_base ? item_column(item, "*") : item.any);
    value.is_sure = false;
  }
  value.is_exact = false;
  return value;
}

const RangeItem* FactsWalker::find_item(std::string_view schema, std::string_view alias, const Scope* scope) const {
  for (; scope != nullptr; scope = scope->outer) {
    for (const RangeItem* item : scope->from.items) {
      if (item->alias == alias && (schema.empty() || item->schema == schema)) return item;
    }
  }
  return nullptr;
}

Value FactsWalker::column_reference(const PgQuery__ColumnRef& reference, const Scope* scope) {
  understood_.insert(&reference);
  const NodeList fields = WEIR_NODES(reference, fields);
  if (fields.empty()) return {};
  const bool is_star = fields.back()->node_case == PG_QUERY__NODE__NODE_A_STAR;
  if (fields.size() == 1 && !is_star) return unqualified(string_of(fields.front()), scope);
  if (is_star) {
    Value value;
    if (fields.size() == 1) {  // count(*) has none: this is `*` inside a ROW or the like.
      for (const RangeItem* item : scope != nullptr ? scope->from.items : std::vector<const RangeItem*>{}) merge_into(value, whole_row(*item));
      return value;
    }
    const RangeItem* const item = find_item(fields.size() > 2 ? string_of(fields[fields.size() - 3]) : std::string_view{}, string_of(fields[fields.size() - 2]), scope);
    if (item != nullptr) return whole_row(*item);
    value.is_sure = false;
    return value;
  }
  const std::string_view schema = fields.size() > 2 ? string_of(fields[fields.size() - 3]) : std::string_view{};
  return qualified(schema, string_of(fields[fields.size() - 2]), string_of(fields.back()), scope);
}

Value FactsWalker::qualified(std::string_view schema, std::string_view alias, std::string_view name, const Scope* scope) {
  const RangeItem* const item = find_item(schema, alias, scope);
  if (item != nullptr) return item_column(*item, name);
  Value value;
  value.is_sure = false;  // The server will not find it either, or it is a field of a composite column.
  return value;
}

Value FactsWalker::unqualified(std::string_view name, const Scope* scope) {
  Value guesses;
  std::size_t guess_count = 0;
  const Scope* const first = scope;
  for (; scope != nullptr; scope = scope->outer) {
    Value found;
    std::size_t count = 0;
    if (!spend(scope->from.star.size())) return guesses;
    for (const VisibleColumn& visible : scope->from.star) {
      if (visible.open != nullptr || visible.name != name) continue;
      const Value value = value_of(visible, name);
      if (count++ == 0) found = value;
      else merge_into(found, value);
    }
    if (count > 0) {
      if (guess_count == 0) return found;
      merge_into(guesses, found);
      guesses.is_sure = false;
      return guesses;
    }
    for (const VisibleColumn& visible : scope->from.star) {
      if (visible.open == nullptr) continue;
      const Value value = item_column(*visible.open, name);
      if (guess_count++ == 0) guesses = value;
      else merge_into(guesses, value);
    }
  }
  const RangeItem* const row = find_item({}, name, first);
  if (row != nullptr) {
    if (guess_count == 0) return whole_row(*row);
    merge_into(guesses, whole_row(*row));
    guess_count += 1;
  }
  if (guess_count > 1) guesses.is_sure = false;
  if (guess_count == 0 && !is_system_column(name)) guesses.is_sure = false;
  return guesses;
}

// True for a condition that holds or fails for all rows alike: no column in it, or a column compared with itself.
bool FactsWalker::is_trivial(const PgQuery__Node* condition) const {
  if (condition == nullptr) return true;
  if (condition->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR) {
    const NodeList parts = WEIR_NODES(*condition->bool_expr, args);
    const auto trivial = [this](const PgQuery__Node* part) { return is_trivial(part); };
    if (condition->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR) return std::ranges::any_of(parts, trivial);
    return std::ranges::all_of(parts, trivial);
  }
  if (condition->node_case == PG_QUERY__NODE__NODE_A_EXPR && same_reference(condition->a_expr->lexpr, condition->a_expr->rexpr)) return true;
  return for_each_message(*content(condition), [](NodeCase kind, const ProtobufCMessage&) {
    return kind != PG_QUERY__NODE__NODE_COLUMN_REF && kind != PG_QUERY__NODE__NODE_CURRENT_OF_EXPR && kind != PG_QUERY__NODE__NODE_SUB_LINK;
  });
}

// FigureColname() of the server, as far as names matter here.
std::string_view FactsWalker::output_name(const PgQuery__Node* node) {
  for (uint32_t i = 0; node != nullptr && i < limits_.depth_max; ++i) {
    switch (node->node_case) {
      case PG_QUERY__NODE__NODE_COLUMN_REF: {
        const NodeList fields = WEIR_NODES(*node->column_ref, fields);
        return fields.empty() ? std::string_view("?column?") : string_of(fields.back());
      }
      case PG_QUERY__NODE__NODE_FUNC_CALL: {
        const NodeList parts = WEIR_NODES(*node->func_call, funcname);
        return parts.empty() ? std::string_view{} : string_of(parts.back());
      }
      case PG_QUERY__NODE__NODE_A_INDIRECTION: {
        const NodeList parts = WEIR_NODES(*node->a_indirection, indirection);
        for (std::size_t k = parts.size(); k-- > 0;) {
          if (!string_of(parts[k]).empty()) return string_of(parts[k]);
        }
        node = node->a_indirection->arg;
        break;
      }
      case PG_QUERY__NODE__NODE_TYPE_CAST: {
        const std::string_view inner = output_name(node->type_cast->arg);
        if (inner != "?column?" || node->type_cast->type_name == nullptr) return inner;
        const NodeList parts = WEIR_NODES(*node->type_cast->type_name, names);
        return parts.empty() ? inner : string_of(parts.back());
      }
      case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: node = node->collate_clause->arg; break;
      case PG_QUERY__NODE__NODE_CASE_EXPR: {
        const std::string_view inner = node->case_expr->defresult != nullptr ? output_name(node->case_expr->defresult) : std::string_view("?column?");
        return inner == "?column?" ? std::string_view("case") : inner;
      }
      case PG_QUERY__NODE__NODE_COALESCE_EXPR: return "coalesce";
      case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: return "array";
      case PG_QUERY__NODE__NODE_ROW_EXPR: return "row";
      case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_LEAST ? std::string_view("least") : std::string_view("greatest");
      case PG_QUERY__NODE__NODE_SUB_LINK: {
        if (node->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK) return "exists";
        if (node->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK) return "array";
        if (node->sub_link->sub_link_type != PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK) return "?column?";
        const PgQuery__Node* const sub = node->sub_link->subselect;
        if (sub == nullptr || sub->node_case != PG_QUERY__NODE__NODE_SELECT_STMT || sub->select_stmt->n_target_list == 0) return "?column?";
        const PgQuery__ResTarget& target = *sub->select_stmt->target_list[0]->res_target;
        if (!text_of(target.name).empty()) return text_of(target.name);
        node = target.val;
        break;
      }
      default: return "?column?";
    }
  }
  return "?column?";
}

}  // namespace weir::postgres
