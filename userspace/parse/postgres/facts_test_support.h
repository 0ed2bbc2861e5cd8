// What the tests of facts share: a small catalogue, and facts written as text that a table of cases can hold.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "parse/postgres/catalogue.h"
#include "parse/postgres/facts_source.h"

namespace weir::postgres::testing {

// public.people(id, name, email, note), public.orders(id, person_id, total), hr.salaries(person_id, amount),
// public.people_v(id, mail): a view of people; public.people_vv: a view of that view; public.bad_v: a view that does not parse;
// functions public.clean(text) proven to compute, public.dirty() not; seq public.orders_id_seq; a temporary table "scratch".
std::shared_ptr<const CatalogueProvider> small_catalogue();

// One source for all tests of a program, with and without the small catalogue.
FactsPtr facts_with(std::string_view text, std::string_view search_path = {}, bool conforming = true);
FactsPtr facts_without(std::string_view text, bool conforming = true);

std::string verbs_of(const StatementFacts& facts);       // "read write"
std::string shapes_of(const StatementFacts& facts);      // "copy-out select-star"
// name(origins)= or ? : "email(people.email)= upper(people.name) row_to_json(people.id+people.email)"; public. is left out.
std::string outputs_of(const StatementFacts& facts);
std::string filters_of(const StatementFacts& facts);     // "people.email people.id"
std::string written_of(const StatementFacts& facts);
std::string relations_of(const StatementFacts& facts);   // "public.people:r hr.salaries:rw people:w?"  ?: not resolved; :- for views' own
std::string functions_of(const StatementFacts& facts);   // "lower dirty!"  !: not cleared

}  // namespace weir::postgres::testing
