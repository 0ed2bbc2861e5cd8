// From a parse tree to StatementFacts.  Two walks that hold each other to account:
//   survey()  iterative, by descriptors: sees every node of the tree, whatever it stands in.  Verbs, shapes, kinds, functions.
//   lineage   recursive, with scopes: which base columns a value may come from.  It ticks off the relations and columns that it
//             understood; settle_unseen() takes the strictest reading of all others.
// So a construct that the lineage walk does not know makes facts stricter, never quieter.
// Runs on a parser thread (see facts_pool.h): recursion is bounded by depth_max and by a budget of work.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/facts.h"
#include "parse/postgres/facts_tree.h"

namespace weir::postgres {

// What may be in a value.
struct Value {
  std::vector<uint16_t> origins;  // Indices into StatementFacts::columns; sorted, no repeats.
  bool is_exact = false;
  bool is_sure = true;
};

struct RangeItem;
// A column that a name in scope may mean.  Either computed (value), or a base relation's own (relation), or unknown (open).
struct VisibleColumn {
  std::string_view name;
  const Value* value = nullptr;
  int relation = -1;
  const RangeItem* open = nullptr;  // The item has columns that are not known: any name may be one of them.
};
// One entry of a FROM clause.
struct RangeItem {
  std::string_view alias, schema;
  std::vector<VisibleColumn> columns;
  int relation = -1;                // Base relation, also for marking writes; -1: none.
  bool is_base = false;             // Its columns are `relation`'s own.
  Value any;                        // What an unknown column of it may hold.
};
struct FromClause {
  std::vector<const RangeItem*> items;   // For qualified names.
  std::vector<VisibleColumn> star;       // For unqualified names and *, in order; joined columns once.
};

// What a query gives.
struct ResultColumn { std::string_view name; Value value; };
struct QueryResult {
  std::vector<ResultColumn> columns;
  bool is_known = true;                  // `columns` lists all, in order.
  bool returns_rows = false;
};
struct CommonTables {
  const CommonTables* outer = nullptr;
  std::vector<std::pair<std::string_view, const QueryResult*>> tables;
};
struct Scope {
  const Scope* outer = nullptr;
  FromClause from;
  const CommonTables* common = nullptr;
};

class FactsWalker {
 public:
  struct Limits {
    uint64_t work_max = 0;     // Nodes visited and origins copied.
    uint32_t depth_max = 0;
  };
  // `catalogue` may be null.  `integers_in_key`: offsets of constants that the cache's key holds (sql_integers_in_key).
  FactsWalker(StatementFacts& facts, const Catalogue* catalogue, std::string_view search_path, const std::vector<uint32_t>& integers_in_key,
              Limits limits)
      : facts_(facts), catalogue_(catalogue), search_path_(search_path), integers_in_key_(integers_in_key), limits_(limits), work_left_(limits.work_max) {}

  // `tree` stays alive as long as the walker.
  void walk(const PgQuery__ParseResult& tree);
  // A constant of the text shows in the facts (a role, a setting's name, ORDER BY 2): they hold for this text alone.
  [[nodiscard]] bool depends_on_constants() const { return depends_on_constants_; }
  [[nodiscard]] bool ran_out() const { return ran_out_; }

 private:
  // facts_walker.cc
  void walk_statement(const PgQuery__RawStmt& raw);
  void survey(const ProtobufCMessage& statement);
  void settle_unseen();
  void make_opaque(std::string_view why);
  bool spend(uint64_t work);
  int relation(const PgQuery__RangeVar& name, bool is_read, bool is_written, bool is_created = false);
  int relation_named(std::string_view schema, std::string_view name, bool is_read, bool is_written);
  int add_relation(RelationRef wanted);
  void touches_anything(bool is_written);
  uint16_t column(int relation, std::string_view name);
  void mark_filter(const Value& value);
  void mark_written(int relation, std::string_view name);
  void function_call(const PgQuery__FuncCall& call);
  bool is_cleared(std::string_view schema, std::string_view name) const;
  void add_function(std::string_view schema, std::string_view name, bool cleared);
  const CatalogueRelation* catalogue_relation(int relation) const { return relation < 0 ? nullptr : resolved_[static_cast<std::size_t>(relation)]; }

  // facts_statements.cc: what one statement node means beyond facts_nodes.def.
  void note_statement(NodeCase kind, const ProtobufCMessage& message);
  void note_copy(const PgQuery__CopyStmt& statement);
  void note_drop(const PgQuery__DropStmt& statement);
  void note_transaction(const PgQuery__TransactionStmt& statement);
  void note_set(const PgQuery__VariableSetStmt& statement);
  void note_setting(std::string_view name, const PgQuery__Node* value, bool is_reset);
  void note_any_setting();
  void note_set_config(const PgQuery__FuncCall& call);
  void note_sequence_call(const PgQuery__FuncCall& call);
  void note_do(const PgQuery__DoStmt& statement);
  void note_hidden_role();
  void note_function_body(const PgQuery__CreateFunctionStmt& statement);
  void note_explain(const PgQuery__ExplainStmt& statement);

  // facts_query.cc, facts_from.cc, facts_changes.cc, facts_expression.cc: lineage.
  QueryResult statement(const PgQuery__Node* node, const Scope* outer);
  QueryResult select(const PgQuery__SelectStmt& query, const Scope* outer);
  QueryResult select_body(const PgQuery__SelectStmt& query, Scope& scope);
  QueryResult set_operation(const PgQuery__SelectStmt& query, Scope& scope);
  QueryResult values(const PgQuery__SelectStmt& query, const Scope& scope);
  void common_tables(const PgQuery__WithClause* with, Scope& scope);
  QueryResult recursive_table(const PgQuery__CommonTableExpr& table, std::string_view name, Scope& scope, CommonTables& tables);
  void targets(NodeList list, const Scope& scope, QueryResult& result);
  void expand_star(const FromClause& from, QueryResult& result);
  void expand_item(const RangeItem& item, QueryResult& result);
  void sort_keys(NodeList list, const Scope& scope, const QueryResult& result, bool is_group);
  void sort_key(const PgQuery__Node* key, const Scope& scope, const QueryResult& result, bool is_group);
  void locks(const PgQuery__SelectStmt& query, const Scope& scope);
  void select_shapes(const PgQuery__SelectStmt& query, const Scope& scope);

  void from_item(const PgQuery__Node* node, Scope& scope, FromClause& into);
  void from_table(const PgQuery__RangeVar& table, Scope& scope, FromClause& into);
  void from_subselect(const PgQuery__RangeSubselect& sub, Scope& scope, FromClause& into);
  void from_function(const PgQuery__RangeFunction& function, Scope& scope, FromClause& into);
  void from_join(const PgQuery__JoinExpr& join, Scope& scope, FromClause& into);
  void join_columns(const PgQuery__JoinExpr& join, const FromClause& left, const FromClause& right, FromClause& into);
  RangeItem& new_item(const PgQuery__Alias* alias, std::string_view name, std::string_view schema);
  void rename_columns(RangeItem& item, const PgQuery__Alias* alias);
  void item_of_result(RangeItem& item, const QueryResult& result);
  void item_of_relation(RangeItem& item, int relation);
  void add_item(RangeItem& item, const PgQuery__Alias* alias, FromClause& into);
  const QueryResult* view_result(const CatalogueRelation& view);
  const QueryResult* common_table(std::string_view name, const Scope& scope) const;

  QueryResult insert(const PgQuery__InsertStmt& insert, const Scope* outer);
  QueryResult update(const PgQuery__UpdateStmt& update, const Scope* outer);
  QueryResult remove(const PgQuery__DeleteStmt& remove, const Scope* outer);
  QueryResult merge(const PgQuery__MergeStmt& merge, const Scope* outer);
  QueryResult copy(const PgQuery__CopyStmt& copy);
  void utility(const ProtobufCMessage& message, NodeCase kind);
  RangeItem& target_item(const PgQuery__RangeVar& table, int relation, Scope& scope);
  void insert_columns(NodeList names, int relation);
  void assignments(NodeList list, int relation, const Scope& scope);
  void store(const QueryResult& result);
  void report(QueryResult result);

  Value eval(const PgQuery__Node* node, const Scope* scope, bool is_filter);
  Value eval_children(const ProtobufCMessage& message, const Scope* scope, bool is_filter);
  Value eval_list(NodeList list, const Scope* scope, bool is_filter);
  Value column_reference(const PgQuery__ColumnRef& reference, const Scope* scope);
  Value unqualified(std::string_view name, const Scope* scope);
  Value qualified(std::string_view schema, std::string_view alias, std::string_view name, const Scope* scope);
  Value item_column(const RangeItem& item, std::string_view name);
  Value whole_row(const RangeItem& item);
  Value value_of(const VisibleColumn& visible, std::string_view name);
  Value sub_link(const PgQuery__SubLink& link, const Scope* scope, bool is_filter);
  Value case_expression(const PgQuery__CaseExpr& expression, const Scope* scope, bool is_filter);
  Value call_value(const PgQuery__FuncCall& call, const Scope* scope, bool is_filter);
  Value indirection(const PgQuery__AIndirection& node, const Scope* scope, bool is_filter);
  void window(const PgQuery__WindowDef* definition, const Scope* scope);
  void merge_into(Value& into, const Value& other);
  const RangeItem* find_item(std::string_view schema, std::string_view alias, const Scope* scope) const;
  std::string_view output_name(const PgQuery__Node* node);
  bool is_trivial(const PgQuery__Node* condition) const;
  bool is_plain_operator(const PgQuery__AExpr& expression) const;

  StatementFacts& facts_;
  const Catalogue* catalogue_;
  std::string_view search_path_;
  const std::vector<uint32_t>& integers_in_key_;
  Limits limits_;
  uint64_t work_left_;
  uint32_t depth_ = 0;
  uint32_t view_depth_ = 0;
  uint32_t text_depth_ = 0;          // Function bodies inside function bodies.
  bool depends_on_constants_ = false;
  bool ran_out_ = false;
  bool names_moved_ = false;         // An earlier statement of this text may have changed what a name means.
  bool moves_names_ = false;         // This one may.
  bool is_explained_only_ = false;

  // Of the statement being walked.
  std::vector<const PgQuery__RangeVar*> range_vars_;
  std::vector<const PgQuery__ColumnRef*> column_refs_;
  std::unordered_set<const void*> understood_;

  std::vector<const CatalogueRelation*> resolved_;                   // By relation; null: not resolved.
  std::unordered_map<std::string, int> relation_index_;              // "schema\0name"
  std::unordered_map<std::string, uint16_t> column_index_;           // "relation\0name"
  std::deque<RangeItem> items_;                                      // Stable addresses.
  std::deque<Value> values_;
  std::deque<QueryResult> results_;
  std::deque<CommonTables> tables_;
  std::deque<std::string> names_;
  std::unordered_map<uint32_t, const QueryResult*> views_;           // Null: being read, or not readable.
  struct FreeTree { void operator()(PgQuery__ParseResult* tree) const { pg_query__parse_result__free_unpacked(tree, nullptr); } };
  std::vector<std::unique_ptr<PgQuery__ParseResult, FreeTree>> trees_;  // Of view texts and function bodies.
  const PgQuery__ParseResult* parse_inner(std::string_view text);
  friend class DepthGuard;
};

// Counts a level of recursion; is_ok() false: too deep or out of work, the facts are opaque, return at once.
class DepthGuard {
 public:
  explicit DepthGuard(FactsWalker& walker) : walker_(walker) {
    is_ok_ = ++walker_.depth_ <= walker_.limits_.depth_max && walker_.spend(1);
    if (walker_.depth_ > walker_.limits_.depth_max) walker_.make_opaque("nested too deeply");
  }
  ~DepthGuard() { --walker_.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  [[nodiscard]] bool is_ok() const { return is_ok_; }

 private:
  FactsWalker& walker_;
  bool is_ok_ = false;
};

}  // namespace weir::postgres
