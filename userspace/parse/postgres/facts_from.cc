// FROM: tables, sub-selects, functions, joins, views.
#include <algorithm>

#include "parse/postgres/facts_walker.h"

namespace weir::postgres {

namespace {
constexpr uint32_t kViewDepthMax = 16;

bool is_system_schema(std::string_view schema) { return schema == "pg_catalog" || schema == "information_schema"; }
}  // namespace

RangeItem& FactsWalker::new_item(const PgQuery__Alias* alias, std::string_view name, std::string_view schema) {
  RangeItem& item = items_.emplace_back();
  const bool is_renamed = alias != nullptr && !text_of(alias->aliasname).empty();
  item.alias = is_renamed ? text_of(alias->aliasname) : name;
  if (!is_renamed) item.schema = schema;
  return item;
}

void FactsWalker::rename_columns(RangeItem& item, const PgQuery__Alias* alias) {
  if (alias == nullptr) return;
  const NodeList names = WEIR_NODES(*alias, colnames);
  if (names.empty()) return;
  std::vector<VisibleColumn> renamed;
  for (std::size_t i = 0; i < names.size(); ++i) {
    VisibleColumn visible;
    visible.name = string_of(names[i]);
    const bool is_known = i < item.columns.size() && item.columns[i].open == nullptr;
    visible.value = &values_.emplace_back(is_known ? value_of(item.columns[i], item.columns[i].name) : item.is_base ? whole_row(item) : item.any);
    renamed.push_back(visible);
  }
  for (std::size_t i = names.size(); i < item.columns.size(); ++i) renamed.push_back(item.columns[i]);
  const bool was_open = std::ranges::any_of(item.columns, [](const VisibleColumn& visible) { return visible.open != nullptr; });
  const bool still_open = std::ranges::any_of(renamed, [](const VisibleColumn& visible) { return visible.open != nullptr; });
  if (was_open && !still_open) renamed.push_back({{}, nullptr, -1, &item});
  item.columns = std::move(renamed);
}

void FactsWalker::item_of_result(RangeItem& item, const QueryResult& result) {
  if (!spend(result.columns.size())) return;
  for (const ResultColumn& column : result.columns) {
    if (column.name == "*" && !result.is_known) continue;
    item.columns.push_back({column.name, &values_.emplace_back(column.value), -1, nullptr});
  }
  if (result.is_known) return;
  for (const ResultColumn& column : result.columns) merge_into(item.any, column.value);
  item.any.is_sure = false;
  item.columns.push_back({{}, nullptr, -1, &item});
}

void FactsWalker::item_of_relation(RangeItem& item, int relation) {
  item.relation = relation;
  const CatalogueRelation* const known = catalogue_relation(relation);
  if (known == nullptr) {
    item.is_base = true;
    item.columns.push_back({{}, nullptr, -1, &item});
    return;
  }
  if (!spend(known->columns.size())) return;
  const QueryResult* const view = known->is_view && !is_system_schema(known->schema) ? view_result(*known) : nullptr;
  const bool fits = view != nullptr && view->is_known && view->columns.size() == known->columns.size();
  for (std::size_t i = 0; i < known->columns.size(); ++i) {
    const std::string_view name = known->columns[i].name;
    if (!known->is_view || is_system_schema(known->schema)) {
      item.columns.push_back({name, nullptr, relation, nullptr});
      continue;
    }
    Value value;  // The view's own column, and what it is made of.
    value.origins.push_back(column(relation, name));
    const bool is_exact = fits && view->columns[i].value.is_exact;
    if (fits) merge_into(value, view->columns[i].value);
    else value.is_sure = false;
    value.is_exact = is_exact;
    item.columns.push_back({name, &values_.emplace_back(std::move(value)), -1, nullptr});
  }
}

const QueryResult* FactsWalker::view_result(const CatalogueRelation& view) {
  const auto [place, is_new] = views_.try_emplace(view.id, nullptr);
  if (!is_new) return place->second;
  if (view_depth_ >= kViewDepthMax || view.view_text.empty()) return nullptr;
  const PgQuery__ParseResult* const tree = parse_inner(view.view_text);
  if (tree == nullptr || tree->n_stmts != 1) return nullptr;
  // Side effects of the functions in it are the reader's.
  for_each_message(*reinterpret_cast<const ProtobufCMessage*>(tree), [this](NodeCase kind, const ProtobufCMessage& message) {
    if (kind != PG_QUERY__NODE__NODE_FUNC_CALL) return spend(1);
    const NodeList parts = WEIR_NODES(as<PgQuery__FuncCall>(message), funcname);
    const std::string_view name = parts.empty() ? std::string_view{} : string_of(parts.back());
    const std::string_view schema = parts.size() > 1 ? string_of(parts[parts.size() - 2]) : std::string_view{};
    if (!is_cleared(schema, name)) add_function(schema, name, false);
    return spend(1);
  });
  ++view_depth_;
  QueryResult result = statement(tree->stmts[0]->stmt, nullptr);
  --view_depth_;
  const QueryResult* const kept = &results_.emplace_back(std::move(result));
  views_[view.id] = kept;
  return kept;
}

const QueryResult* FactsWalker::common_table(std::string_view name, const Scope& scope) const {
  for (const CommonTables* tables = scope.common; tables != nullptr; tables = tables->outer) {
    for (auto table = tables->tables.rbegin(); table != tables->tables.rend(); ++table) {
      if (table->first == name) return table->second;
    }
  }
  return nullptr;
}

void FactsWalker::add_item(RangeItem& item, const PgQuery__Alias* alias, FromClause& into) {
  rename_columns(item, alias);
  into.items.push_back(&item);
  if (spend(item.columns.size())) into.star.insert(into.star.end(), item.columns.begin(), item.columns.end());
}

void FactsWalker::from_item(const PgQuery__Node* node, Scope& scope, FromClause& into) {
  const DepthGuard guard(*this);
  if (!guard.is_ok() || node == nullptr) return;
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: return from_table(*node->range_var, scope, into);
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: return from_subselect(*node->range_subselect, scope, into);
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION: return from_function(*node->range_function, scope, into);
    case PG_QUERY__NODE__NODE_JOIN_EXPR: return from_join(*node->join_expr, scope, into);
    case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE:
      eval_list(WEIR_NODES(*node->range_table_sample, args), &scope, true);
      eval(node->range_table_sample->repeatable, &scope, true);
      return from_item(node->range_table_sample->relation, scope, into);
    default: break;  // XMLTABLE, and what is not known: columns from anything in it.
  }
  RangeItem& item = new_item(nullptr, {}, {});
  item.any = eval_children(*content(node), &scope, true);
  if (node->node_case == PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC && node->range_table_func->alias != nullptr) {
    item.alias = text_of(node->range_table_func->alias->aliasname);
  } else if (node->node_case != PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC) {
    item.any.is_sure = false;
  }
  item.columns.push_back({{}, nullptr, -1, &item});
  add_item(item, nullptr, into);
}

void FactsWalker::from_table(const PgQuery__RangeVar& table, Scope& scope, FromClause& into) {
  const std::string_view name = text_of(table.relname), schema = text_of(table.schemaname);
  RangeItem& item = new_item(table.alias, name, schema);
  const QueryResult* const common = schema.empty() ? common_table(name, scope) : nullptr;
  if (common != nullptr) {
    understood_.insert(&table);
    item_of_result(item, *common);
  } else {
    item_of_relation(item, relation(table, true, false));
  }
  add_item(item, table.alias, into);
}

void FactsWalker::from_subselect(const PgQuery__RangeSubselect& sub, Scope& scope, FromClause& into) {
  Scope beside;  // LATERAL sees what stands to the left, in this FROM and in the joins being read.
  beside.outer = scope.outer;
  beside.common = scope.common;
  if (sub.lateral) {
    beside.from = scope.from;
    if (&into != &scope.from) {
      beside.from.items.insert(beside.from.items.end(), into.items.begin(), into.items.end());
      beside.from.star.insert(beside.from.star.end(), into.star.begin(), into.star.end());
    }
    spend(beside.from.star.size());
  }
  RangeItem& item = new_item(sub.alias, {}, {});
  item_of_result(item, statement(sub.subquery, &beside));
  add_item(item, sub.alias, into);
}

// Arguments decide how many rows come: they count as filters.
void FactsWalker::from_function(const PgQuery__RangeFunction& function, Scope& scope, FromClause& into) {
  Scope beside;
  beside.outer = scope.outer;
  beside.common = scope.common;
  beside.from = scope.from;
  if (&into != &scope.from) {
    beside.from.items.insert(beside.from.items.end(), into.items.begin(), into.items.end());
    beside.from.star.insert(beside.from.star.end(), into.star.begin(), into.star.end());
  }
  spend(beside.from.star.size());
  std::string_view name;
  Value value;
  for (const PgQuery__Node* entry : WEIR_NODES(function, functions)) {
    if (entry->node_case != PG_QUERY__NODE__NODE_LIST) continue;
    const NodeList items = WEIR_NODES(*entry->list, items);
    if (items.empty()) continue;
    merge_into(value, eval(items.front(), &beside, true));
    if (name.empty()) name = output_name(items.front());
  }
  RangeItem& item = new_item(function.alias, name, {});
  item.any = value;
  // A scalar function's column has the item's name; a composite one's are not known.
  item.columns.push_back({item.alias, &values_.emplace_back(value), -1, nullptr});
  for (const PgQuery__Node* definition : WEIR_NODES(function, coldeflist)) {
    if (definition->node_case != PG_QUERY__NODE__NODE_COLUMN_DEF) continue;
    item.columns.push_back({text_of(definition->column_def->colname), &values_.emplace_back(value), -1, nullptr});
  }
  item.columns.push_back({{}, nullptr, -1, &item});
  add_item(item, function.alias, into);
}

void FactsWalker::from_join(const PgQuery__JoinExpr& join, Scope& scope, FromClause& into) {
  FromClause left, right;
  from_item(join.larg, scope, left);
  // The right arm may look at the left one (LATERAL): it stands in scope for that long.
  Scope beside = scope;
  spend(left.star.size() + beside.from.star.size());
  beside.from.items.insert(beside.from.items.end(), left.items.begin(), left.items.end());
  beside.from.star.insert(beside.from.star.end(), left.star.begin(), left.star.end());
  from_item(join.rarg, beside, right);
  Scope both;
  both.outer = scope.outer;
  both.common = scope.common;
  both.from.items = left.items;
  both.from.items.insert(both.from.items.end(), right.items.begin(), right.items.end());
  both.from.star = left.star;
  both.from.star.insert(both.from.star.end(), right.star.begin(), right.star.end());
  spend(both.from.star.size());
  eval(join.quals, &both, true);
  FromClause joined;
  joined.items = both.from.items;
  join_columns(join, left, right, joined);
  if (join.alias == nullptr) {
    into.items.insert(into.items.end(), joined.items.begin(), joined.items.end());
    into.star.insert(into.star.end(), joined.star.begin(), joined.star.end());
    return;
  }
  RangeItem& item = new_item(join.alias, {}, {});  // The alias hides the tables inside.
  item.columns = joined.star;
  const bool is_open = std::ranges::any_of(joined.star, [](const VisibleColumn& visible) { return visible.open != nullptr; });
  if (is_open) {
    for (const RangeItem* inner : joined.items) merge_into(item.any, whole_row(*inner));
    item.any.is_sure = false;
  }
  add_item(item, join.alias, into);
}

// USING and NATURAL: the common columns stand first, once, and are compared.
void FactsWalker::join_columns(const PgQuery__JoinExpr& join, const FromClause& left, const FromClause& right, FromClause& into) {
  std::vector<std::string_view> names;
  for (const PgQuery__Node* name : WEIR_NODES(join, using_clause)) names.push_back(string_of(name));
  if (join.is_natural) {
    if (!spend(left.star.size() * (right.star.size() + 1))) return;
    for (const VisibleColumn& a : left.star) {
      const bool is_common = a.open == nullptr && std::ranges::any_of(right.star, [&](const VisibleColumn& b) { return b.open == nullptr && b.name == a.name; });
      if (is_common) names.push_back(a.name);
      if (a.open != nullptr) mark_filter(value_of(a, "*"));
    }
    for (const VisibleColumn& b : right.star) {
      if (b.open != nullptr) mark_filter(value_of(b, "*"));
    }
  }
  Scope left_scope, right_scope;
  left_scope.from = left;
  right_scope.from = right;
  for (const std::string_view name : names) {
    Value value = unqualified(name, &left_scope);
    const Value other = unqualified(name, &right_scope);
    mark_filter(value);
    mark_filter(other);
    const bool is_exact = value.is_exact && join.jointype != PG_QUERY__JOIN_TYPE__JOIN_FULL && join.jointype != PG_QUERY__JOIN_TYPE__JOIN_RIGHT;
    merge_into(value, other);
    value.is_exact = is_exact;
    into.star.push_back({name, &values_.emplace_back(std::move(value)), -1, nullptr});
  }
  const auto add_rest = [&](const FromClause& arm) {
    if (!spend(arm.star.size() * (names.size() + 1))) return;
    for (const VisibleColumn& visible : arm.star) {
      if (visible.open != nullptr || std::ranges::find(names, visible.name) == names.end()) into.star.push_back(visible);
    }
  };
  add_rest(left);
  add_rest(right);
}

}  // namespace weir::postgres
