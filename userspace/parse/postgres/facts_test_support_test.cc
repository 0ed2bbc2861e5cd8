#include <algorithm>
#include <bit>
#include <vector>

#include "parse/postgres/facts_test_support.h"

namespace weir::postgres::testing {

namespace {

class FixedCatalogue final : public CatalogueProvider {
 public:
  explicit FixedCatalogue(std::shared_ptr<const Catalogue> catalogue) : catalogue_(std::move(catalogue)) {}
  uint64_t version() const override { return 1; }
  std::shared_ptr<const Catalogue> snapshot(std::string_view) const override { return catalogue_; }

 private:
  std::shared_ptr<const Catalogue> catalogue_;
};

CatalogueRelation relation(uint32_t id, std::string schema, std::string name, std::vector<std::string> columns, std::string view = {}) {
  CatalogueRelation made;
  made.id = id;
  made.schema = std::move(schema);
  made.name = std::move(name);
  made.is_view = !view.empty();
  made.view_text = std::move(view);
  uint16_t number = 0;
  for (std::string& column : columns) made.columns.push_back({std::move(column), 25, ++number});
  return made;
}

std::string join(std::vector<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " ") + part;
  return text;
}

std::string column_name(const StatementFacts& facts, uint16_t index) {
  const ColumnRef& column = facts.columns.at(index);
  const RelationRef& relation = facts.relations.at(column.relation);
  return (relation.schema.empty() || relation.schema == "public" ? "" : relation.schema + ".") + relation.name + "." + column.name;
}

FactsPtr ask(PostgresFactsSource& source, std::string_view text, std::string_view search_path, bool conforming) {
  FactsQuery query;
  query.text = as_bytes(text);
  query.database = "shop";
  query.search_path = search_path;
  query.standard_conforming_strings = conforming;
  return source.facts(query).facts;
}

}  // namespace

std::shared_ptr<const CatalogueProvider> small_catalogue() {
  CatalogueContents contents;
  contents.generation = 1;
  contents.relations = {
      relation(101, "public", "people", {"id", "name", "email", "note"}),
      relation(102, "public", "orders", {"id", "person_id", "total"}),
      relation(103, "hr", "salaries", {"person_id", "amount"}),
      relation(104, "public", "people_v", {"id", "mail"}, " SELECT people.id,\n    people.email AS mail\n   FROM public.people\n  WHERE (people.note IS NOT NULL);"),
      relation(105, "public", "people_vv", {"shout", "id"}, " SELECT upper(people_v.mail) AS shout, people_v.id FROM public.people_v;"),
      relation(106, "public", "bad_v", {"x"}, " SELECT FROM WHERE"),
      relation(107, "public", "orders_id_seq", {"last_value", "log_cnt", "is_called"}),
      relation(108, "public", "loop_v", {"x"}, " SELECT loop_v.x FROM public.loop_v;"),
      relation(109, "alice", "private", {"x"}),
      relation(110, "public", "scratch", {"x"}),
      relation(111, "pg_catalog", "pg_class", {"oid", "relname"}),
      relation(112, "pg_catalog", "pg_shadow", {"usename", "passwd"}),
  };
  contents.functions = {{"public", "clean", true}, {"public", "dirty", false}, {"public", "length", false}, {"pg_catalog", "length", true},
                        {"public", "=~=", false}, {"public", "<=>", true}};
  contents.temporary_names = {"scratch"};
  contents.database_search_path = "\"$user\", public";
  contents.role_search_paths = {{"alice", "\"alice\", \"public\""}};
  return std::make_shared<FixedCatalogue>(make_catalogue(std::move(contents)));
}

FactsPtr facts_with(std::string_view text, std::string_view search_path, bool conforming) {
  static const std::unique_ptr<PostgresFactsSource> source = make_inline_facts(Limits{}, small_catalogue());
  return ask(*source, text, search_path, conforming);
}

FactsPtr facts_without(std::string_view text, bool conforming) {
  static const std::unique_ptr<PostgresFactsSource> source = make_inline_facts(Limits{});
  return ask(*source, text, {}, conforming);
}

std::string verbs_of(const StatementFacts& facts) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < 16; ++i) {
    if ((facts.verbs >> i & 1) != 0) names.emplace_back(name_of(static_cast<Verb>(1U << i)));
  }
  return join(names);
}

std::string shapes_of(const StatementFacts& facts) {
  std::vector<std::string> names;
  for (int i = 0; i < static_cast<int>(Shape::kCount); ++i) {
    if ((facts.shapes >> i & 1) != 0) names.emplace_back(name_of(static_cast<Shape>(i)));
  }
  return join(names);
}

std::string outputs_of(const StatementFacts& facts) {
  if (!facts.has_output) return "none";
  std::vector<std::string> texts;
  for (const OutputColumn& output : facts.outputs) {
    std::vector<std::string> origins;
    for (const uint16_t origin : output.origins) origins.push_back(column_name(facts, origin));
    std::ranges::sort(origins);
    std::string text = output.name + "(";
    for (std::size_t i = 0; i < origins.size(); ++i) text += (i > 0 ? "+" : "") + origins[i];
    texts.push_back(text + ")" + (output.is_exact ? "=" : "") + (output.is_sure ? "" : "?"));
  }
  if (!facts.outputs_are_known) texts.emplace_back("...");
  return join(texts);
}

std::string filters_of(const StatementFacts& facts) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < facts.columns.size(); ++i) {
    if (facts.columns[i].in_filter) names.push_back(column_name(facts, static_cast<uint16_t>(i)));
  }
  std::ranges::sort(names);
  return join(names);
}

std::string written_of(const StatementFacts& facts) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < facts.columns.size(); ++i) {
    if (facts.columns[i].is_written) names.push_back(column_name(facts, static_cast<uint16_t>(i)));
  }
  std::ranges::sort(names);
  return join(names);
}

std::string relations_of(const StatementFacts& facts) {
  std::vector<std::string> texts;
  for (const RelationRef& relation : facts.relations) {
    std::string text = (relation.schema.empty() ? "" : relation.schema + ".") + relation.name + ":";
    if (relation.is_read) text += 'r';
    if (relation.is_written) text += 'w';
    if (!relation.is_read && !relation.is_written) text += '-';
    texts.push_back(text + (relation.is_resolved ? "" : "?"));
  }
  std::ranges::sort(texts);
  return join(texts);
}

std::string functions_of(const StatementFacts& facts) {
  std::vector<std::string> texts;
  for (const FunctionRef& function : facts.functions) {
    texts.push_back((function.schema.empty() || function.schema == "pg_catalog" ? "" : function.schema + ".") + function.name + (function.is_cleared ? "" : "!"));
  }
  std::ranges::sort(texts);
  return join(texts);
}

}  // namespace weir::postgres::testing
