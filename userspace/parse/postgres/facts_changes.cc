// INSERT, UPDATE, DELETE, MERGE, COPY, and the utility statements that hold queries.
#include <algorithm>

#include "parse/postgres/facts_walker.h"

namespace weir::postgres {

// What is kept under another name is out of the masks' reach: it counts as a filter.
void FactsWalker::store(const QueryResult& result) {
  for (const ResultColumn& column : result.columns) mark_filter(column.value);
}

RangeItem& FactsWalker::target_item(const PgQuery__RangeVar& table, int relation, Scope& scope) {
  RangeItem& item = new_item(table.alias, text_of(table.relname), text_of(table.schemaname));
  item_of_relation(item, relation);
  add_item(item, table.alias, scope.from);
  return item;
}

// Pre: `names` are ResTargets; none means all columns.
void FactsWalker::insert_columns(NodeList names, int relation) {
  for (const PgQuery__Node* name : names) {
    if (name->node_case == PG_QUERY__NODE__NODE_RES_TARGET) mark_written(relation, text_of(name->res_target->name));
  }
  if (!names.empty()) return;
  const CatalogueRelation* const known = catalogue_relation(relation);
  if (known == nullptr) return mark_written(relation, "*");
  for (const CatalogueColumn& column : known->columns) mark_written(relation, column.name);
}

// SET a = x, (b, c) = (select ...).  A column that only flows back into itself stays under its mask.
void FactsWalker::assignments(NodeList list, int relation, const Scope& scope) {
  for (const PgQuery__Node* node : list) {
    if (node->node_case != PG_QUERY__NODE__NODE_RES_TARGET) continue;
    const PgQuery__ResTarget& target = *node->res_target;
    const std::string_view name = text_of(target.name);
    mark_written(relation, name);
    for (const PgQuery__Node* part : WEIR_NODES(target, indirection)) eval(part, &scope, true);
    Value value = eval(target.val, &scope, false);
    const uint16_t own = column(relation, name);
    std::erase(value.origins, own);
    mark_filter(value);
  }
}

QueryResult FactsWalker::insert(const PgQuery__InsertStmt& insert, const Scope* outer) {
  Scope scope;
  scope.common = outer != nullptr ? outer->common : nullptr;
  common_tables(insert.with_clause, scope);
  QueryResult result;
  if (insert.relation == nullptr) return result;
  const bool has_returning = insert.n_returning_list > 0;
  const int target = relation(*insert.relation, has_returning, true);
  insert_columns(WEIR_NODES(insert, cols), target);
  if (insert.select_stmt != nullptr) store(statement(insert.select_stmt, &scope));
  target_item(*insert.relation, target, scope);
  if (const PgQuery__OnConflictClause* const conflict = insert.on_conflict_clause; conflict != nullptr) {
    RangeItem& excluded = new_item(nullptr, "excluded", {});  // The row that was to be inserted: the client's own values.
    excluded.columns.push_back({{}, nullptr, -1, &excluded});
    Scope inner = scope;
    inner.from.items.push_back(&excluded);
    if (conflict->infer != nullptr) {
      eval_list(WEIR_NODES(*conflict->infer, index_elems), &inner, true);
      eval(conflict->infer->where_clause, &inner, true);
    }
    assignments(WEIR_NODES(*conflict, target_list), target, inner);
    eval(conflict->where_clause, &inner, true);
  }
  targets(WEIR_NODES(insert, returning_list), scope, result);
  result.returns_rows = has_returning;
  return result;
}

QueryResult FactsWalker::update(const PgQuery__UpdateStmt& update, const Scope* outer) {
  Scope scope;
  scope.common = outer != nullptr ? outer->common : nullptr;
  common_tables(update.with_clause, scope);
  QueryResult result;
  if (update.relation == nullptr) return result;
  const bool has_returning = update.n_returning_list > 0;
  const int target = relation(*update.relation, has_returning, true);
  target_item(*update.relation, target, scope);
  for (const PgQuery__Node* node : WEIR_NODES(update, from_clause)) from_item(node, scope, scope.from);
  assignments(WEIR_NODES(update, target_list), target, scope);
  eval(update.where_clause, &scope, true);
  if (is_trivial(update.where_clause)) facts_.shapes |= bit(Shape::kUpdateWithoutWhere);
  targets(WEIR_NODES(update, returning_list), scope, result);
  result.returns_rows = has_returning;
  return result;
}

QueryResult FactsWalker::remove(const PgQuery__DeleteStmt& remove, const Scope* outer) {
  Scope scope;
  scope.common = outer != nullptr ? outer->common : nullptr;
  common_tables(remove.with_clause, scope);
  QueryResult result;
  if (remove.relation == nullptr) return result;
  const bool has_returning = remove.n_returning_list > 0;
  target_item(*remove.relation, relation(*remove.relation, has_returning, true), scope);
  for (const PgQuery__Node* node : WEIR_NODES(remove, using_clause)) from_item(node, scope, scope.from);
  eval(remove.where_clause, &scope, true);
  if (is_trivial(remove.where_clause)) facts_.shapes |= bit(Shape::kDeleteWithoutWhere);
  targets(WEIR_NODES(remove, returning_list), scope, result);
  result.returns_rows = has_returning;
  return result;
}

QueryResult FactsWalker::merge(const PgQuery__MergeStmt& merge, const Scope* outer) {
  Scope scope;
  scope.common = outer != nullptr ? outer->common : nullptr;
  common_tables(merge.with_clause, scope);
  if (merge.relation == nullptr) return {};
  const int target = relation(*merge.relation, true, true);
  target_item(*merge.relation, target, scope);
  from_item(merge.source_relation, scope, scope.from);
  eval(merge.join_condition, &scope, true);
  for (const PgQuery__Node* node : WEIR_NODES(merge, merge_when_clauses)) {
    if (node->node_case != PG_QUERY__NODE__NODE_MERGE_WHEN_CLAUSE) continue;
    const PgQuery__MergeWhenClause& when = *node->merge_when_clause;
    eval(when.condition, &scope, true);
    if (when.command_type == PG_QUERY__CMD_TYPE__CMD_INSERT) {
      insert_columns(WEIR_NODES(when, target_list), target);
      mark_filter(eval_list(WEIR_NODES(when, values), &scope, false));
    } else {
      assignments(WEIR_NODES(when, target_list), target, scope);
    }
    if (when.command_type == PG_QUERY__CMD_TYPE__CMD_DELETE && when.condition == nullptr && is_trivial(merge.join_condition)) {
      facts_.shapes |= bit(Shape::kDeleteWithoutWhere);
    }
  }
  return {};
}

// COPY describes no columns on the wire: `outputs` is all that masks have to go by.
QueryResult FactsWalker::copy(const PgQuery__CopyStmt& copy) {
  QueryResult result;
  Scope scope;
  const bool is_out = copy.is_from == 0;
  if (copy.query != nullptr) {
    result = statement(copy.query, nullptr);
  } else if (copy.relation != nullptr) {
    const int target = relation(*copy.relation, is_out, !is_out);
    if (!is_out) {
      std::size_t named = 0;
      for (const PgQuery__Node* name : WEIR_NODES(copy, attlist)) {
        mark_written(target, string_of(name));
        ++named;
      }
      if (named == 0) insert_columns({}, target);
    }
    RangeItem& item = target_item(*copy.relation, target, scope);
    for (const PgQuery__Node* name : WEIR_NODES(copy, attlist)) result.columns.push_back({string_of(name), item_column(item, string_of(name))});
    if (copy.n_attlist == 0) expand_item(item, result);
  }
  eval(copy.where_clause, &scope, true);
  const bool is_to_client = is_out && !copy.is_program && text_of(copy.filename).empty();
  if (is_out && !is_to_client) store(result);
  result.returns_rows = is_to_client;
  return result;
}

void FactsWalker::utility(const ProtobufCMessage& message, NodeCase kind) {
  switch (kind) {
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: {
      const auto& create = as<PgQuery__CreateTableAsStmt>(message);
      if (create.into != nullptr && create.into->rel != nullptr) relation(*create.into->rel, false, true, true);
      return store(statement(create.query, nullptr));
    }
    case PG_QUERY__NODE__NODE_VIEW_STMT: {
      const auto& view = as<PgQuery__ViewStmt>(message);
      if (view.view != nullptr) relation(*view.view, false, true, true);
      return store(statement(view.query, nullptr));
    }
    case PG_QUERY__NODE__NODE_CREATE_STMT: {
      const auto& create = as<PgQuery__CreateStmt>(message);
      if (create.relation != nullptr) relation(*create.relation, false, true, true);
      return;
    }
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: {
      const auto& create = as<PgQuery__CreateSeqStmt>(message);
      if (create.sequence != nullptr) relation(*create.sequence, false, true, true);
      return;
    }
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT:
    case PG_QUERY__NODE__NODE_LOCK_STMT:
    case PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT: {
      for (const PgQuery__RangeVar* name : range_vars_) {
        relation(*name, false, true);
      }
      return;
    }
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT: {
      for (const PgQuery__Node* element : WEIR_NODES(as<PgQuery__CreateSchemaStmt>(message), schema_elts)) (void)statement(element, nullptr);
      return;
    }
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT: {  // BEGIN ATOMIC: lists of statements in a list.
      std::vector<const PgQuery__Node*> open{as<PgQuery__CreateFunctionStmt>(message).sql_body};
      while (!open.empty() && spend(1)) {
        const PgQuery__Node* const node = open.back();
        open.pop_back();
        if (node == nullptr) continue;
        if (node->node_case == PG_QUERY__NODE__NODE_LIST) open.insert(open.end(), node->list->items, node->list->items + node->list->n_items);
        else if (note_of_node(node->node_case).role == NodeRole::kStatement) store(statement(node, nullptr));
      }
      return;
    }
    case PG_QUERY__NODE__NODE_RULE_STMT: {
      for (const PgQuery__Node* action : WEIR_NODES(as<PgQuery__RuleStmt>(message), actions)) (void)statement(action, nullptr);
      return;
    }
    default: return;  // Their relations and columns are left to settle_unseen().
  }
}

}  // namespace weir::postgres
