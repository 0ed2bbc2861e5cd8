// What single statements mean beyond their row in facts_nodes.def: called for every statement node, nested ones too.
#include <algorithm>
#include <string>

#include "parse/postgres/facts_functions.h"
#include "parse/postgres/facts_walker.h"

namespace weir::postgres {

namespace {

using enum Verb;
using enum Shape;

bool def_is(const PgQuery__Node* node, std::string_view name) {
  return node != nullptr && node->node_case == PG_QUERY__NODE__NODE_DEF_ELEM && text_of(node->def_elem->defname) == name;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return result;
}

void add(VerbSet& set, VerbSet more) { set = static_cast<VerbSet>(set | more); }

bool has_relation_name(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE: return true;
    default: return false;  // Their enumerators, not ours.
  }
}
// The name of these begins with a relation's and ends with their own.
bool stands_on_relation(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER:
    case PG_QUERY__OBJECT_TYPE__OBJECT_RULE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY:
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT: return true;
    default: return false;
  }
}

ShapeSet drop_shapes(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: return bit(kDropSchema);
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN: return bit(kDropTable);
    case PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION:
    case PG_QUERY__OBJECT_TYPE__OBJECT_LANGUAGE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FDW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_SERVER: return bit(kCreateExtension);
    default: return bit(kCreateFunction);  // Functions, triggers, rules, policies, operators, casts, ...
  }
}

// Code of a language that this parser does not read: whether it may change whom the session acts as.  One word is enough, since
// nobody can tell what a text says that it runs.
bool may_change_role(std::string_view body) {
  static constexpr std::string_view kWords[] = {"role", "authorization", "set_config", "pg_settings", "execute"};
  const std::string text = lower(body);
  if (text.find("u&") != std::string::npos) return true;  // An identifier in escapes may be any of them.
  const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0; };
  return std::ranges::any_of(kWords, [&](std::string_view word) {
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      const std::size_t end = at + word.size();
      if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
    }
    return false;
  });
}

// The names of an object: a List of Strings, or a TypeName, or a String alone.
NodeList name_parts(const PgQuery__Node* object) {
  if (object == nullptr) return {};
  if (object->node_case == PG_QUERY__NODE__NODE_LIST) return WEIR_NODES(*object->list, items);
  if (object->node_case == PG_QUERY__NODE__NODE_TYPE_NAME) return WEIR_NODES(*object->type_name, names);
  return {};
}

}  // namespace

void FactsWalker::note_statement(NodeCase kind, const ProtobufCMessage& message) {
  VerbSet& verbs = facts_.verbs;
  switch (kind) {
    case PG_QUERY__NODE__NODE_SELECT_STMT: {
      const auto& query = as<PgQuery__SelectStmt>(message);
      if (query.n_values_lists == 0) add(verbs, bit(kRead));
      if (query.into_clause != nullptr) add(verbs, kDdl | kWrite);
      break;
    }
    case PG_QUERY__NODE__NODE_INSERT_STMT: if (as<PgQuery__InsertStmt>(message).n_returning_list > 0) add(verbs, bit(kRead)); break;
    case PG_QUERY__NODE__NODE_UPDATE_STMT: if (as<PgQuery__UpdateStmt>(message).n_returning_list > 0) add(verbs, bit(kRead)); break;
    case PG_QUERY__NODE__NODE_DELETE_STMT: if (as<PgQuery__DeleteStmt>(message).n_returning_list > 0) add(verbs, bit(kRead)); break;
    case PG_QUERY__NODE__NODE_COPY_STMT: note_copy(as<PgQuery__CopyStmt>(message)); break;
    case PG_QUERY__NODE__NODE_DROP_STMT: note_drop(as<PgQuery__DropStmt>(message)); break;
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT: note_transaction(as<PgQuery__TransactionStmt>(message)); break;
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT: note_set(as<PgQuery__VariableSetStmt>(message)); break;
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT: note_function_body(as<PgQuery__CreateFunctionStmt>(message)); break;
    case PG_QUERY__NODE__NODE_DISCARD_STMT:
      facts_.is_fence = true;  // ALL puts every setting back to the login's.
      moves_names_ = true;
      break;
    case PG_QUERY__NODE__NODE_DO_STMT:
      add(verbs, kWrite | kDdl);
      add(verbs, bit(kAdmin));
      facts_.has_unknown_function = true;
      touches_anything(true);
      note_do(as<PgQuery__DoStmt>(message));
      break;
    case PG_QUERY__NODE__NODE_CALL_STMT:
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
      facts_.is_fence = true;
      touches_anything(true);
      break;
    case PG_QUERY__NODE__NODE_GRANT_STMT:
      if (as<PgQuery__GrantStmt>(message).targtype != PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_OBJECT) touches_anything(true);
      break;
    case PG_QUERY__NODE__NODE_VACUUM_STMT: if (as<PgQuery__VacuumStmt>(message).n_rels == 0) touches_anything(true); break;
    case PG_QUERY__NODE__NODE_CLUSTER_STMT: if (as<PgQuery__ClusterStmt>(message).relation == nullptr) touches_anything(true); break;
    case PG_QUERY__NODE__NODE_REINDEX_STMT: if (as<PgQuery__ReindexStmt>(message).relation == nullptr) touches_anything(true); break;
    case PG_QUERY__NODE__NODE_DROP_OWNED_STMT:
    case PG_QUERY__NODE__NODE_REASSIGN_OWNED_STMT:
    case PG_QUERY__NODE__NODE_ALTER_TABLE_MOVE_ALL_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DEFAULT_PRIVILEGES_STMT:
    case PG_QUERY__NODE__NODE_DROPDB_STMT:
    case PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT:
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT:
    case PG_QUERY__NODE__NODE_CREATE_EVENT_TRIG_STMT: touches_anything(true); break;
    case PG_QUERY__NODE__NODE_COMMENT_STMT: {
      const auto& comment = as<PgQuery__CommentStmt>(message);
      NodeList parts = name_parts(comment.object);
      if (stands_on_relation(comment.objtype) && !parts.empty()) parts = parts.first(parts.size() - 1);
      else if (!has_relation_name(comment.objtype)) break;
      if (!parts.empty()) relation_named(parts.size() > 1 ? string_of(parts[parts.size() - 2]) : std::string_view{}, string_of(parts.back()), false, true);
      break;
    }
    default: break;  // Its row says it all.
  }
  // Names may mean other relations for the statements that follow in the same text.
  if ((note_of_node(kind).verbs & (kDdl | kExec)) != 0) moves_names_ |= kind != PG_QUERY__NODE__NODE_TRUNCATE_STMT;
}

void FactsWalker::note_copy(const PgQuery__CopyStmt& statement) {
  const bool has_file = !text_of(statement.filename).empty();
  add(facts_.verbs, bit(statement.is_from ? kWrite : kRead));
  if (statement.is_program) {
    add(facts_.verbs, bit(kShell));
    facts_.shapes |= bit(kCopyProgram);
  } else if (has_file) {
    add(facts_.verbs, bit(kFile));
    facts_.shapes |= bit(kCopyFile);
  } else {
    facts_.shapes |= bit(statement.is_from ? kCopyIn : kCopyOut);
    facts_.is_fence |= statement.is_from != 0;  // A pipelined Sync is swallowed by the copy.
  }
}

void FactsWalker::note_drop(const PgQuery__DropStmt& statement) {
  facts_.shapes |= drop_shapes(statement.remove_type);
  if (statement.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA || statement.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION ||
      statement.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE) {
    touches_anything(true);
  }
  for (const PgQuery__Node* object : WEIR_NODES(statement, objects)) {
    NodeList parts = name_parts(object);
    if (stands_on_relation(statement.remove_type) && !parts.empty()) parts = parts.first(parts.size() - 1);
    else if (!has_relation_name(statement.remove_type)) continue;
    if (!parts.empty()) relation_named(parts.size() > 1 ? string_of(parts[parts.size() - 2]) : std::string_view{}, string_of(parts.back()), false, true);
  }
}

void FactsWalker::note_transaction(const PgQuery__TransactionStmt& statement) {
  if (statement.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE ||
      statement.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED ||
      statement.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED) {
    facts_.shapes |= bit(kPrepareTransaction);
    add(facts_.verbs, bit(kWrite));
  }
  if (statement.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK ||
      statement.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO) {
    moves_names_ = true;  // It may take back a SET or a CREATE.
  }
}

void FactsWalker::note_explain(const PgQuery__ExplainStmt& statement) {
  is_explained_only_ = true;
  for (const PgQuery__Node* option : WEIR_NODES(statement, options)) {
    if (!def_is(option, "analyze")) continue;
    is_explained_only_ = false;  // Also (ANALYZE off): whoever writes that is not worth a closer look.
    facts_.shapes |= bit(kExplainAnalyze);
  }
}

void FactsWalker::note_set(const PgQuery__VariableSetStmt& statement) {
  const NodeList arguments = WEIR_NODES(statement, args);
  switch (statement.kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
      add(facts_.verbs, bit(kSession));
      facts_.is_fence = true;
      moves_names_ = true;
      return;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:  // TRANSACTION, SESSION CHARACTERISTICS, TRANSACTION SNAPSHOT.
      add(facts_.verbs, bit(kSession));
      return;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
      return note_setting(text_of(statement.name), arguments.empty() ? nullptr : arguments.front(), false);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET: return note_setting(text_of(statement.name), nullptr, true);
    case PG_QUERY__VARIABLE_SET_KIND__VARIABLE_SET_KIND_UNDEFINED:
    case _PG_QUERY__VARIABLE_SET_KIND_IS_INT_SIZE: break;
  }
  make_opaque("a kind of SET that is not known");
}

void FactsWalker::note_setting(std::string_view name, const PgQuery__Node* value, bool is_reset) {
  const SettingNote note = note_of_setting(lower(name));
  facts_.shapes |= note.shapes;
  facts_.is_fence |= note.is_fence;
  moves_names_ |= note.is_fence;
  if ((note.shapes & bit(kSetRole)) == 0) return add(facts_.verbs, note.verbs);
  std::string_view role;
  if (is_reset) return add(facts_.verbs, bit(kSession));  // Back to the role of the login.
  depends_on_constants_ = true;
  if (!constant_text(value, role)) role = "*";
  if (role == "none") return add(facts_.verbs, bit(kSession));
  add(facts_.verbs, note.verbs);
  facts_.roles.emplace_back(role);
}

void FactsWalker::note_any_setting() {
  facts_.shapes |= bit(kSetGrammar) | bit(kSetSearchPath) | bit(kSetRole) | bit(kSecurityOff);
  add(facts_.verbs, kImpersonate | kAdmin);
  facts_.is_fence = true;
  facts_.roles.emplace_back("*");
  moves_names_ = true;
}

void FactsWalker::note_set_config(const PgQuery__FuncCall& call) {
  depends_on_constants_ = true;
  const NodeList arguments = WEIR_NODES(call, args);
  std::string_view name;
  if (arguments.size() < 2 || !constant_text(arguments[0], name)) return note_any_setting();
  note_setting(name, arguments[1], false);
}

// nextval('schema.name'): the sequence is written.
void FactsWalker::note_sequence_call(const PgQuery__FuncCall& call) {
  const NodeList arguments = WEIR_NODES(call, args);
  std::string_view text;
  depends_on_constants_ = true;
  if (arguments.empty() || !constant_text(arguments[0], text) || text.find('"') != std::string_view::npos) return touches_anything(true);
  const std::string& name = names_.emplace_back(lower(text));
  const std::size_t dot = name.find('.');
  const std::string_view view(name);
  if (dot == std::string_view::npos) relation_named({}, view, false, true);
  else relation_named(view.substr(0, dot), view.substr(dot + 1), false, true);
}

void FactsWalker::note_do(const PgQuery__DoStmt& statement) {
  depends_on_constants_ = true;
  for (const PgQuery__Node* option : WEIR_NODES(statement, args)) {
    std::string_view body;
    if (def_is(option, "as") && (!constant_text(option->def_elem->arg, body) || may_change_role(body))) note_hidden_role();
  }
}

void FactsWalker::note_hidden_role() {
  facts_.shapes |= bit(kSetRole);
  add(facts_.verbs, bit(kImpersonate));
  facts_.is_fence = true;
  facts_.roles.emplace_back("*");
}

// An SQL body given as text: what it will do once it is called.
void FactsWalker::note_function_body(const PgQuery__CreateFunctionStmt& statement) {
  std::string_view language, body;
  for (const PgQuery__Node* option : WEIR_NODES(statement, options)) {
    if (def_is(option, "language")) (void)constant_text(option->def_elem->arg, language);
    if (def_is(option, "as") && option->def_elem->arg != nullptr && option->def_elem->arg->node_case == PG_QUERY__NODE__NODE_LIST) {
      const NodeList texts = WEIR_NODES(*option->def_elem->arg->list, items);
      if (texts.size() == 1) (void)constant_text(texts.front(), body);
    }
  }
  if (body.empty()) return;
  depends_on_constants_ = true;
  if (lower(language) != "sql") {
    if (may_change_role(body)) note_hidden_role();
    return;
  }
  constexpr uint32_t kTextDepthMax = 4;
  const PgQuery__ParseResult* const tree = text_depth_ < kTextDepthMax ? parse_inner(body) : nullptr;
  if (tree == nullptr) return touches_anything(true);
  ++text_depth_;
  for (std::size_t i = 0; i < tree->n_stmts; ++i) {
    const ProtobufCMessage* const inner = content(tree->stmts[i]->stmt);
    if (inner == nullptr) continue;
    survey(*inner);
    store(this->statement(tree->stmts[i]->stmt, nullptr));
  }
  --text_depth_;
}

}  // namespace weir::postgres
