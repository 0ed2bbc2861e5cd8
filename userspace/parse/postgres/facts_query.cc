// SELECT, set operations, VALUES, WITH: scopes and results.
#include <algorithm>

#include "parse/postgres/facts_walker.h"

namespace weir::postgres {

namespace {

constexpr std::size_t kTargetsMax = 1664;  // The server refuses more (MaxTupleAttributeNumber).

bool constant_integer(const PgQuery__Node* node, int64_t& value) {
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_A_CONST || node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL) return false;
  value = node->a_const->ival->ival;
  return true;
}

bool is_null_constant(const PgQuery__Node* node) {
  return node == nullptr || (node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->isnull);
}

}  // namespace

QueryResult FactsWalker::statement(const PgQuery__Node* node, const Scope* outer) {
  QueryResult result;
  if (node == nullptr) return result;
  const DepthGuard guard(*this);
  if (!guard.is_ok()) return result;
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT: return select(*node->select_stmt, outer);
    case PG_QUERY__NODE__NODE_INSERT_STMT: return insert(*node->insert_stmt, outer);
    case PG_QUERY__NODE__NODE_UPDATE_STMT: return update(*node->update_stmt, outer);
    case PG_QUERY__NODE__NODE_DELETE_STMT: return remove(*node->delete_stmt, outer);
    case PG_QUERY__NODE__NODE_MERGE_STMT: return merge(*node->merge_stmt, outer);
    case PG_QUERY__NODE__NODE_COPY_STMT: return copy(*node->copy_stmt);
    case PG_QUERY__NODE__NODE_PREPARE_STMT: (void)statement(node->prepare_stmt->query, outer); return result;
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT: (void)statement(node->declare_cursor_stmt->query, outer); return result;
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
      (void)statement(node->explain_stmt->query, outer);
      result.columns.push_back({"QUERY PLAN", {}});
      result.returns_rows = true;
      return result;
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
      result.columns.push_back({text_of(node->variable_show_stmt->name), {}});
      result.is_known = text_of(node->variable_show_stmt->name) != "all";
      result.returns_rows = true;
      return result;
    case PG_QUERY__NODE__NODE_FETCH_STMT:
      result.returns_rows = node->fetch_stmt->ismove == 0;
      result.is_known = false;
      return result;
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
    case PG_QUERY__NODE__NODE_CALL_STMT:
      result.returns_rows = true;
      result.is_known = false;
      return result;
    default: break;  // Their enumerators, not ours.
  }
  utility(*content(node), node->node_case);
  return result;
}

QueryResult FactsWalker::select(const PgQuery__SelectStmt& query, const Scope* outer) {
  const DepthGuard guard(*this);
  if (!guard.is_ok()) return {};
  Scope scope;
  scope.outer = outer;
  scope.common = outer != nullptr ? outer->common : nullptr;
  common_tables(query.with_clause, scope);
  QueryResult result;
  if (query.op == PG_QUERY__SET_OPERATION__SETOP_NONE || query.op == PG_QUERY__SET_OPERATION__SET_OPERATION_UNDEFINED) {
    result = query.n_values_lists > 0 ? values(query, scope) : select_body(query, scope);
  } else {
    result = set_operation(query, scope);
  }
  sort_keys(WEIR_NODES(query, sort_clause), scope, result, false);
  eval(query.limit_count, &scope, true);
  eval(query.limit_offset, &scope, true);
  locks(query, scope);
  result.returns_rows = true;
  if (query.into_clause != nullptr && query.into_clause->rel != nullptr) {
    relation(*query.into_clause->rel, false, true, true);
    store(result);
    result = {};
  }
  return result;
}

QueryResult FactsWalker::select_body(const PgQuery__SelectStmt& query, Scope& scope) {
  for (const PgQuery__Node* node : WEIR_NODES(query, from_clause)) from_item(node, scope, scope.from);
  eval(query.where_clause, &scope, true);
  QueryResult result;
  targets(WEIR_NODES(query, target_list), scope, result);
  sort_keys(WEIR_NODES(query, group_clause), scope, result, true);
  eval(query.having_clause, &scope, true);
  for (const PgQuery__Node* node : WEIR_NODES(query, window_clause)) {
    if (node->node_case == PG_QUERY__NODE__NODE_WINDOW_DEF) window(node->window_def, &scope);
  }
  for (const PgQuery__Node* node : WEIR_NODES(query, distinct_clause)) {  // DISTINCT ON; plain DISTINCT holds one empty node.
    if (content(node) != nullptr) sort_key(node, scope, result, false);
  }
  select_shapes(query, scope);
  return result;
}

void FactsWalker::targets(NodeList list, const Scope& scope, QueryResult& result) {
  for (const PgQuery__Node* node : list) {
    if (result.columns.size() > kTargetsMax) return make_opaque("more output columns than the server allows");
    if (node->node_case != PG_QUERY__NODE__NODE_RES_TARGET || node->res_target->val == nullptr) {
      result.is_known = false;
      continue;
    }
    const PgQuery__ResTarget& target = *node->res_target;
    if (target.val->node_case == PG_QUERY__NODE__NODE_COLUMN_REF) {
      const PgQuery__ColumnRef& reference = *target.val->column_ref;
      const NodeList fields = WEIR_NODES(reference, fields);
      if (!fields.empty() && fields.back()->node_case == PG_QUERY__NODE__NODE_A_STAR) {
        understood_.insert(&reference);
        if (fields.size() == 1) {
          expand_star(scope.from, result);
          continue;
        }
        const RangeItem* const item = find_item(fields.size() > 2 ? string_of(fields[fields.size() - 3]) : std::string_view{},
                                                string_of(fields[fields.size() - 2]), &scope);
        if (item != nullptr) expand_item(*item, result);
        else result.is_known = false;
        continue;
      }
    }
    ResultColumn& column = result.columns.emplace_back();
    column.value = eval(target.val, &scope, false);
    column.name = !text_of(target.name).empty() ? text_of(target.name) : output_name(target.val);
    // (x).* gives as many columns as the type has.
    if (target.val->node_case == PG_QUERY__NODE__NODE_A_INDIRECTION) {
      const NodeList parts = WEIR_NODES(*target.val->a_indirection, indirection);
      if (!parts.empty() && parts.back()->node_case == PG_QUERY__NODE__NODE_A_STAR) result.is_known = false;
    }
  }
}

void FactsWalker::expand_star(const FromClause& from, QueryResult& result) {
  if (!spend(4 * from.star.size())) return;
  if (from.star.size() > kTargetsMax) return make_opaque("more output columns than the server allows");
  for (const VisibleColumn& visible : from.star) {
    result.columns.push_back({visible.open != nullptr ? std::string_view("*") : visible.name, value_of(visible, visible.open != nullptr ? "*" : visible.name)});
    if (visible.open != nullptr) result.is_known = false;
  }
}

void FactsWalker::expand_item(const RangeItem& item, QueryResult& result) {
  FromClause alone;
  alone.star = item.columns;
  expand_star(alone, result);
}

// ORDER BY, GROUP BY, DISTINCT ON: an output's number, an output's name, or an expression over the input.
void FactsWalker::sort_key(const PgQuery__Node* key, const Scope& scope, const QueryResult& result, bool is_group) {
  const PgQuery__Node* const expression = key->node_case == PG_QUERY__NODE__NODE_SORT_BY ? key->sort_by->node : key;
  if (expression == nullptr) return;
  int64_t number = 0;
  if (constant_integer(expression, number)) {
    const auto offset = static_cast<uint32_t>(expression->a_const->location);
    if (view_depth_ == 0 && !std::ranges::binary_search(integers_in_key_, offset)) depends_on_constants_ = true;
    const bool is_there = result.is_known && number >= 1 && static_cast<std::size_t>(number) <= result.columns.size();
    if (is_there) return mark_filter(result.columns[static_cast<std::size_t>(number) - 1].value);
    for (const ResultColumn& column : result.columns) mark_filter(column.value);
    return;
  }
  if (expression->node_case == PG_QUERY__NODE__NODE_GROUPING_SET) return sort_keys(WEIR_NODES(*expression->grouping_set, content), scope, result, is_group);
  // GROUP BY (1, 2): the members of a row count each.
  if (is_group && expression->node_case == PG_QUERY__NODE__NODE_ROW_EXPR) return sort_keys(WEIR_NODES(*expression->row_expr, args), scope, result, true);
  bool is_output = false;
  if (expression->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && expression->column_ref->n_fields == 1) {
    const std::string_view name = string_of(expression->column_ref->fields[0]);
    if (!spend(result.columns.size())) return;
    for (const ResultColumn& column : result.columns) {
      if (column.name != name || name.empty()) continue;
      mark_filter(column.value);
      is_output = true;
    }
  }
  if (is_output && !is_group) {
    understood_.insert(expression->column_ref);
    return;
  }
  eval(expression, &scope, true);
}

void FactsWalker::sort_keys(NodeList list, const Scope& scope, const QueryResult& result, bool is_group) {
  const DepthGuard guard(*this);
  if (!guard.is_ok()) return;
  for (const PgQuery__Node* key : list) sort_key(key, scope, result, is_group);
}

QueryResult FactsWalker::values(const PgQuery__SelectStmt& query, const Scope& scope) {
  QueryResult result;
  for (const PgQuery__Node* row : WEIR_NODES(query, values_lists)) {
    if (row->node_case != PG_QUERY__NODE__NODE_LIST) continue;
    const NodeList cells = WEIR_NODES(*row->list, items);
    while (result.columns.size() < cells.size() && spend(1)) {
      const std::string& name = names_.emplace_back("column" + std::to_string(result.columns.size() + 1));
      result.columns.push_back({name, {}});
    }
    for (std::size_t i = 0; i < cells.size() && i < result.columns.size(); ++i) {
      if (cells[i]->node_case == PG_QUERY__NODE__NODE_A_CONST) continue;
      const Value value = eval(cells[i], &scope, false);
      merge_into(result.columns[i].value, value);
    }
  }
  return result;
}

// The left arms are taken one by one, not by recursion: unions chain by the thousand.
QueryResult FactsWalker::set_operation(const PgQuery__SelectStmt& query, Scope& scope) {
  QueryResult result;
  std::vector<const PgQuery__SelectStmt*> arms;
  bool compares = false;
  const PgQuery__SelectStmt* left = &query;
  while (left != nullptr && spend(1)) {
    const bool is_leaf = left->op == PG_QUERY__SET_OPERATION__SETOP_NONE || left->op == PG_QUERY__SET_OPERATION__SET_OPERATION_UNDEFINED;
    // Only the plainest of inner set operations is unrolled: one with clauses of its own has a scope of its own.
    const bool is_plain = left->with_clause == nullptr && left->n_sort_clause == 0 && left->limit_count == nullptr && left->limit_offset == nullptr &&
                          left->n_locking_clause == 0 && left->into_clause == nullptr;
    if (is_leaf || (left != &query && !is_plain)) {
      arms.push_back(left);
      break;
    }
    compares |= left->op != PG_QUERY__SET_OPERATION__SETOP_UNION;
    arms.push_back(left->rarg);
    left = left->larg;
  }
  std::ranges::reverse(arms);
  bool is_first = true;
  for (const PgQuery__SelectStmt* arm : arms) {
    if (arm == nullptr) continue;
    QueryResult one = select(*arm, &scope);
    if (compares) {  // INTERSECT, EXCEPT: a value is compared with one that the client may choose.
      for (const ResultColumn& column : one.columns) mark_filter(column.value);
    }
    if (is_first) {
      result = std::move(one);
      for (ResultColumn& column : result.columns) column.value.is_exact = false;
      is_first = false;
      continue;
    }
    result.is_known &= one.is_known && one.columns.size() == result.columns.size();
    for (std::size_t i = 0; i < one.columns.size() && i < result.columns.size(); ++i) merge_into(result.columns[i].value, one.columns[i].value);
    // Widths differ only where one is not known: then any column may hold any other's value.
    if (!result.is_known) {
      Value all;
      for (const ResultColumn& column : one.columns) merge_into(all, column.value);
      for (ResultColumn& column : result.columns) {
        merge_into(column.value, all);
        column.value.is_sure = false;
      }
    }
  }
  return result;
}

void FactsWalker::common_tables(const PgQuery__WithClause* with, Scope& scope) {
  if (with == nullptr) return;
  CommonTables& tables = tables_.emplace_back();
  tables.outer = scope.common;
  scope.common = &tables;
  for (const PgQuery__Node* node : WEIR_NODES(*with, ctes)) {
    if (node->node_case != PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR) continue;
    const PgQuery__CommonTableExpr& table = *node->common_table_expr;
    const std::string_view name = text_of(table.ctename);
    QueryResult result = with->recursive ? recursive_table(table, name, scope, tables) : statement(table.ctequery, &scope);
    const NodeList aliases = WEIR_NODES(table, aliascolnames);
    for (std::size_t i = 0; i < aliases.size() && i < result.columns.size(); ++i) result.columns[i].name = string_of(aliases[i]);
    if (aliases.size() > result.columns.size()) result.is_known = false;
    if (table.search_clause != nullptr) result.columns.push_back({text_of(table.search_clause->search_seq_column), {}});
    if (table.cycle_clause != nullptr) {
      result.columns.push_back({text_of(table.cycle_clause->cycle_mark_column), {}});
      result.columns.push_back({text_of(table.cycle_clause->cycle_path_column), {}});
    }
    if (table.search_clause != nullptr || table.cycle_clause != nullptr) result.is_known = false;  // Their rows hold the row's values.
    tables.tables.emplace_back(name, &results_.emplace_back(std::move(result)));
  }
}

// WITH RECURSIVE: any column may receive any other's value in a later round, so all columns get the origins of all.
QueryResult FactsWalker::recursive_table(const PgQuery__CommonTableExpr& table, std::string_view name, Scope& scope, CommonTables& tables) {
  const bool has_self = !for_each_message(*reinterpret_cast<const ProtobufCMessage*>(&table), [&](NodeCase kind, const ProtobufCMessage& message) {
    return kind != PG_QUERY__NODE__NODE_RANGE_VAR || text_of(as<PgQuery__RangeVar>(message).relname) != name;
  });
  const PgQuery__Node* const query = table.ctequery;
  const bool is_select = query != nullptr && query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT;
  if (!has_self || !is_select || query->select_stmt->larg == nullptr) return statement(query, &scope);
  QueryResult known = select(*query->select_stmt->larg, &scope);
  const NodeList aliases = WEIR_NODES(table, aliascolnames);
  const std::size_t place = tables.tables.size();
  for (int round = 0; round < 2; ++round) {
    Value all;
    for (const ResultColumn& column : known.columns) merge_into(all, column.value);
    QueryResult self = known;
    for (ResultColumn& column : self.columns) column.value = all;
    for (std::size_t i = 0; i < aliases.size() && i < self.columns.size(); ++i) self.columns[i].name = string_of(aliases[i]);
    tables.tables.resize(place);
    tables.tables.emplace_back(name, &results_.emplace_back(std::move(self)));
    known = statement(query, &scope);
  }
  tables.tables.resize(place);
  Value all;
  for (const ResultColumn& column : known.columns) merge_into(all, column.value);
  for (ResultColumn& column : known.columns) column.value = all;
  return known;
}

void FactsWalker::locks(const PgQuery__SelectStmt& query, const Scope& scope) {
  for (const PgQuery__Node* node : WEIR_NODES(query, locking_clause)) {
    if (node->node_case != PG_QUERY__NODE__NODE_LOCKING_CLAUSE) continue;
    const NodeList names = WEIR_NODES(*node->locking_clause, locked_rels);
    for (const RangeItem* item : scope.from.items) {
      const bool is_named = names.empty() || std::ranges::any_of(names, [&](const PgQuery__Node* name) {
        return name->node_case == PG_QUERY__NODE__NODE_RANGE_VAR && item->alias == text_of(name->range_var->relname);
      });
      if (is_named && item->relation >= 0 && view_depth_ == 0) facts_.relations[static_cast<std::size_t>(item->relation)].is_written = true;
    }
    for (const PgQuery__Node* name : names) {
      if (name->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) understood_.insert(name->range_var);  // An alias, not a relation.
    }
  }
}

void FactsWalker::select_shapes(const PgQuery__SelectStmt& query, const Scope& scope) {
  if (view_depth_ > 0) return;
  const bool has_limit = !is_null_constant(query.limit_count);
  const bool has_base = std::ranges::any_of(scope.from.items, [](const RangeItem* item) { return item->relation >= 0; });
  if (query.where_clause == nullptr && !has_limit && has_base) {
    for (const PgQuery__Node* node : WEIR_NODES(query, target_list)) {
      if (node->node_case != PG_QUERY__NODE__NODE_RES_TARGET || node->res_target->val == nullptr) continue;
      const PgQuery__Node* const value = node->res_target->val;
      if (value->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || value->column_ref->n_fields == 0) continue;
      if (value->column_ref->fields[value->column_ref->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR) facts_.shapes |= bit(Shape::kSelectStar);
    }
  }
  if (!is_trivial(query.where_clause)) return;
  std::size_t sources = 0;
  std::vector<const PgQuery__Node*> open(query.from_clause, query.from_clause + query.n_from_clause);
  bool is_cross = false;
  while (!open.empty() && spend(1)) {
    const PgQuery__Node* const node = open.back();
    open.pop_back();
    if (node == nullptr) continue;
    if (node->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR) {
      const PgQuery__JoinExpr& join = *node->join_expr;
      // A lateral arm holds its own condition.
      const bool is_lateral = join.rarg != nullptr && ((join.rarg->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT && join.rarg->range_subselect->lateral) ||
                                                       join.rarg->node_case == PG_QUERY__NODE__NODE_RANGE_FUNCTION);
      is_cross |= !is_lateral && !join.is_natural && join.n_using_clause == 0 && is_trivial(join.quals);
      if (join.larg != nullptr) open.push_back(join.larg);
    } else if (node->node_case == PG_QUERY__NODE__NODE_RANGE_VAR ||
               (node->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT && !node->range_subselect->lateral)) {
      ++sources;
    }
  }
  if (is_cross || sources > 1) facts_.shapes |= bit(Shape::kCrossJoin);
}

}  // namespace weir::postgres
