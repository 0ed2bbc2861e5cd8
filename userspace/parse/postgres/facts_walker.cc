// Relations, columns, functions, and the survey that sees every node.
#include "parse/postgres/facts_walker.h"

#include <pg_query.h>

#include <algorithm>

#include "parse/postgres/facts_functions.h"
#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {

namespace {

std::string pair_key(std::string_view a, std::string_view b) {
  std::string key(a);
  key += '\0';
  key += b;
  return key;
}

constexpr std::size_t kColumnsMax = 60'000;    // Column indices are 16 bits.
constexpr std::size_t kRelationsMax = 60'000;

}  // namespace

void FactsWalker::make_opaque(std::string_view why) {
  if (!facts_.is_opaque) facts_.why = why;
  facts_.is_opaque = true;
}

bool FactsWalker::spend(uint64_t work) {
  if (work > work_left_) {
    work_left_ = 0;
    ran_out_ = true;
    make_opaque("too much to read in one statement");
    return false;
  }
  work_left_ -= work;
  return true;
}

void FactsWalker::walk(const PgQuery__ParseResult& tree) {
  for (std::size_t i = 0; i < tree.n_stmts; ++i) walk_statement(*tree.stmts[i]);
  facts_.statement_count = static_cast<uint16_t>(std::min<std::size_t>(tree.n_stmts, UINT16_MAX));
  if (facts_.has_unknown_function) facts_.is_fence = true;  // It may set anything.
  if (facts_.verbs == 0) facts_.verbs = bit(tree.n_stmts == 0 ? Verb::kSession : Verb::kRead);
}

void FactsWalker::walk_statement(const PgQuery__RawStmt& raw) {
  const ProtobufCMessage* const message = content(raw.stmt);
  if (message == nullptr) return make_opaque("a statement of unknown kind");
  range_vars_.clear();
  column_refs_.clear();
  understood_.clear();
  const VerbSet verbs_before = facts_.verbs;
  const ShapeSet shapes_before = facts_.shapes;
  is_explained_only_ = false;
  survey(*message);
  if (facts_.is_opaque) return;
  if (raw.stmt->node_case == PG_QUERY__NODE__NODE_EXPLAIN_STMT) note_explain(*raw.stmt->explain_stmt);
  QueryResult result = statement(raw.stmt, nullptr);
  settle_unseen();
  if (is_explained_only_) {  // Planned, not run: functions may still be folded, relations are still looked at.
    facts_.verbs = static_cast<VerbSet>(verbs_before | bit(Verb::kRead));
    facts_.shapes = shapes_before | (facts_.shapes & ~(bit(Shape::kUpdateWithoutWhere) | bit(Shape::kDeleteWithoutWhere)));
  }
  if (result.returns_rows) report(std::move(result));
  names_moved_ |= moves_names_;
}

void FactsWalker::survey(const ProtobufCMessage& root) {
  for_each_message(root, [this](NodeCase kind, const ProtobufCMessage& message) {
    if (!spend(1)) return false;
    const NodeNote note = note_of_node(kind);
    if (note.role == NodeRole::kNever) {
      make_opaque("a kind of node that is not known: " + std::string(name_of_message(message)));
      return false;
    }
    facts_.verbs = static_cast<VerbSet>(facts_.verbs | note.verbs);
    facts_.shapes |= note.shapes;
    if (note.role == NodeRole::kStatement) {
      const std::string_view name = name_of_message(message);
      if (std::ranges::find(facts_.kinds, name) == facts_.kinds.end()) facts_.kinds.emplace_back(name);
      note_statement(kind, message);
    }
    if (kind == PG_QUERY__NODE__NODE_RANGE_VAR) range_vars_.push_back(&as<PgQuery__RangeVar>(message));
    if (kind == PG_QUERY__NODE__NODE_COLUMN_REF) column_refs_.push_back(&as<PgQuery__ColumnRef>(message));
    if (kind == PG_QUERY__NODE__NODE_FUNC_CALL) function_call(as<PgQuery__FuncCall>(message));
    if (kind == PG_QUERY__NODE__NODE_A_EXPR && !is_plain_operator(as<PgQuery__AExpr>(message))) {
      const NodeList name = WEIR_NODES(as<PgQuery__AExpr>(message), name);
      const std::string_view schema = name.size() > 1 ? string_of(name.front()) : std::string_view{};
      const std::string_view op = name.empty() ? std::string_view{} : string_of(name.back());
      add_function(schema, op, is_cleared(schema, op));
    }
    return true;
  });
}

// One of the built-in operators, and no other of its name in reach.
bool FactsWalker::is_plain_operator(const PgQuery__AExpr& expression) const {
  const NodeList name = WEIR_NODES(expression, name);
  if (name.empty()) return false;
  const std::string_view op = string_of(name.back());
  if (op == "BETWEEN" || op == "NOT BETWEEN" || op == "BETWEEN SYMMETRIC" || op == "NOT BETWEEN SYMMETRIC") return true;
  if (!is_builtin_operator(op)) return false;
  if (name.size() > 1) return string_of(name.front()) == "pg_catalog";
  return catalogue_ == nullptr || !catalogue_->function_is_shadowed(op, search_path_);
}

// Whatever the lineage walk did not take up is read and written, and its columns may be anything's.
void FactsWalker::settle_unseen() {
  for (const PgQuery__RangeVar* name : range_vars_) {
    if (!understood_.contains(name)) relation(*name, true, !is_explained_only_);
  }
  std::vector<std::string_view> names;
  for (const PgQuery__ColumnRef* reference : column_refs_) {
    if (understood_.contains(reference) || !spend(1)) continue;
    const NodeList fields = WEIR_NODES(*reference, fields);
    const std::string_view name = fields.empty() ? std::string_view{} : string_of(fields.back());
    names.push_back(name.empty() ? "*" : name);
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const std::size_t relations = facts_.relations.size();
  for (const std::string_view name : names) {
    if (!spend(relations)) return;
    for (std::size_t i = 0; i < relations; ++i) {
      Value value;
      value.origins.push_back(column(static_cast<int>(i), name));
      mark_filter(value);
    }
  }
}

int FactsWalker::add_relation(RelationRef wanted) {
  const auto [place, is_new] = relation_index_.try_emplace(pair_key(wanted.schema, wanted.name), static_cast<int>(facts_.relations.size()));
  if (!is_new) {
    RelationRef& known = facts_.relations[static_cast<std::size_t>(place->second)];
    known.is_read |= wanted.is_read;
    known.is_written |= wanted.is_written;
    return place->second;
  }
  if (facts_.relations.size() >= kRelationsMax) make_opaque("too many relations");
  if (is_secret_relation(wanted.schema, wanted.name) && wanted.is_read) facts_.shapes |= bit(Shape::kCatalogSecrets);
  if (wanted.name == "pg_settings" && wanted.is_written) note_any_setting();
  facts_.relations.push_back(std::move(wanted));
  resolved_.push_back(nullptr);
  return place->second;
}

int FactsWalker::relation(const PgQuery__RangeVar& name, bool is_read, bool is_written, bool is_created) {
  understood_.insert(&name);
  const std::string_view schema = text_of(name.schemaname), table = text_of(name.relname);
  if (!is_created) return relation_named(schema, table, is_read, is_written);
  RelationRef made;
  made.schema = schema;
  made.name = table;
  made.is_read = is_read;
  made.is_written = is_written;
  // What is made under a schema that is written out is what it says; else the search path decides at the server.
  made.is_resolved = !schema.empty() && schema != "pg_temp" && text_of(name.relpersistence) != "t" && catalogue_ != nullptr;
  return add_relation(std::move(made));
}

int FactsWalker::relation_named(std::string_view schema, std::string_view name, bool is_read, bool is_written) {
  const CatalogueRelation* known = nullptr;
  if (catalogue_ != nullptr && schema != "pg_temp" && !names_moved_) known = catalogue_->relation(schema, name, search_path_);
  RelationRef wanted;
  wanted.schema = known != nullptr ? std::string_view(known->schema) : schema;
  wanted.name = known != nullptr ? std::string_view(known->name) : name;
  wanted.id = known != nullptr ? known->id : 0;
  wanted.is_resolved = known != nullptr;
  // What a view's text names is not touched by the statement itself.
  wanted.is_read = is_read && view_depth_ == 0;
  wanted.is_written = is_written && view_depth_ == 0;
  const int index = add_relation(std::move(wanted));
  if (known != nullptr) {
    resolved_[static_cast<std::size_t>(index)] = known;
  } else {
    facts_.relations[static_cast<std::size_t>(index)].is_resolved = false;
    resolved_[static_cast<std::size_t>(index)] = nullptr;
  }
  return index;
}

void FactsWalker::touches_anything(bool is_written) {
  RelationRef any;
  any.name = "*";
  any.is_read = true;
  any.is_written = is_written;
  add_relation(std::move(any));
  if (is_written) facts_.verbs = static_cast<VerbSet>(facts_.verbs | (Verb::kRead | Verb::kWrite));
}

uint16_t FactsWalker::column(int relation, std::string_view name) {
  const auto index = static_cast<uint16_t>(relation);
  const std::string key = pair_key(std::to_string(relation), name);
  const auto [place, is_new] = column_index_.try_emplace(key, static_cast<uint16_t>(facts_.columns.size()));
  if (!is_new) return place->second;
  if (facts_.columns.size() >= kColumnsMax) {
    make_opaque("too many columns");
    place->second = 0;
    return 0;
  }
  ColumnRef& made = facts_.columns.emplace_back();
  made.relation = index;
  made.name = name;
  return place->second;
}

void FactsWalker::mark_filter(const Value& value) {
  if (view_depth_ > 0) return;  // The view's own text; who reads the view cannot choose it.
  for (const uint16_t origin : value.origins) {
    if (origin < facts_.columns.size()) facts_.columns[origin].in_filter = true;
  }
}

void FactsWalker::mark_written(int relation, std::string_view name) {
  if (relation < 0) return;
  const uint16_t index = column(relation, name);
  if (index < facts_.columns.size()) facts_.columns[index].is_written = true;
}

bool FactsWalker::is_cleared(std::string_view schema, std::string_view name) const {
  const FunctionNote note = note_of_function(schema, name);
  const bool is_noted = note.verbs != 0 || note.shapes != 0 || note.runs_anything;
  if (!is_noted && catalogue_ != nullptr && catalogue_->function_only_reads(schema, name, search_path_)) return true;
  if (!note.is_cleared) return false;
  return !schema.empty() || catalogue_ == nullptr || !catalogue_->function_is_shadowed(name, search_path_);
}

void FactsWalker::add_function(std::string_view schema, std::string_view name, bool cleared) {
  for (const FunctionRef& known : facts_.functions) {
    if (known.schema == schema && known.name == name) return;
  }
  if (!spend(facts_.functions.size())) return;
  FunctionRef& made = facts_.functions.emplace_back();
  made.schema = schema;
  made.name = name;
  made.is_cleared = cleared;
  facts_.has_unknown_function |= !cleared;
}

void FactsWalker::function_call(const PgQuery__FuncCall& call) {
  const NodeList parts = WEIR_NODES(call, funcname);
  const std::string_view name = parts.empty() ? std::string_view{} : string_of(parts.back());
  const std::string_view schema = parts.size() > 1 ? string_of(parts[parts.size() - 2]) : std::string_view{};
  const FunctionNote note = note_of_function(schema, name);
  facts_.verbs = static_cast<VerbSet>(facts_.verbs | note.verbs);
  facts_.shapes |= note.shapes;
  add_function(schema, name, is_cleared(schema, name));
  if (note.runs_anything) touches_anything((note.verbs & (bit(Verb::kWrite) | bit(Verb::kExec))) != 0);
  switch (note.argument) {
    case FunctionNote::Argument::kNone: break;
    case FunctionNote::Argument::kSequence: note_sequence_call(call); break;
    case FunctionNote::Argument::kSetting: note_set_config(call); break;
  }
}

const PgQuery__ParseResult* FactsWalker::parse_inner(std::string_view text) {
  if (!spend(text.size()) || sql_survey(text).depth_bound > limits_.depth_max) return nullptr;
  const std::string copy(text);
  const PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(copy.c_str());
  PgQuery__ParseResult* tree = nullptr;
  if (parsed.error == nullptr) {
    tree = pg_query__parse_result__unpack(nullptr, parsed.parse_tree.len, reinterpret_cast<const uint8_t*>(parsed.parse_tree.data));
  }
  pg_query_free_protobuf_parse_result(parsed);
  if (tree != nullptr) trees_.emplace_back(tree);
  return tree;
}

void FactsWalker::report(QueryResult result) {
  facts_.has_output = true;
  facts_.outputs_are_known = result.is_known;
  facts_.outputs.clear();
  for (ResultColumn& column : result.columns) {
    OutputColumn& output = facts_.outputs.emplace_back();
    output.name = column.name;
    output.origins = std::move(column.value.origins);
    output.is_exact = column.value.is_exact;
    output.is_sure = column.value.is_sure;
  }
}

}  // namespace weir::postgres
