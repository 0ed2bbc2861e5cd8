// login: a person signs in with a browser, and an address is bound to who that is.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>

#include "control/bind_token.h"
#include "control/config_reader.h"
#include "control/control_client.h"
#include "control/portal_settings.h"
#include "identify/device_flow.h"
#include "identify/token.h"
#include "transport/secret_file.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;

// Where this terminal comes from, if it is a remote one: "CLIENT PORT SERVER PORT".
std::optional<Address> terminal_address(const VerbCall& call) {
  const char* connection = call.terminal.environment("SSH_CONNECTION");
  const std::string text = connection == nullptr ? "" : connection;
  const auto address = Address::parse(text.substr(0, text.find(' ')));
  return address ? std::optional(*address) : std::nullopt;
}

// A provider is no engine: what fails there has the exit code of the system.
int fail_at_provider(VerbCall& call, const Error& error) {
  return call.fail(error.kind == Error::Kind::kUnavailable ? kExitSystem : error.kind == Error::Kind::kDenied ? kExitDenied : kExitFinding, error.message);
}

const IssuerConfig* find_issuer(VerbCall& call, const std::vector<IssuerConfig>& issuers) {
  const std::string name = call.text("issuer");
  if (name.empty() && issuers.size() == 1) return &issuers.front();
  const auto found = std::find_if(issuers.begin(), issuers.end(), [&](const IssuerConfig& each) { return each.name == name; });
  if (found != issuers.end()) return &*found;
  std::vector<std::string_view> names;
  for (const IssuerConfig& each : issuers) names.push_back(each.name);
  call.fail(kExitUsage, issuers.empty() ? "the configuration has no identity.issuers"
                                        : "--issuer: say which of " + join(names) + (name.empty() ? "" : "; there is no " + in_quotes(name)));
  return nullptr;
}

void show(VerbCall& call, const IssuerConfig& issuer, const identify::DeviceCode& code, const Address& address, const std::optional<Address>& own) {
  std::ostream& out = call.terminal.out;
  if (call.json) {
    call.print_json({{"issuer", issuer.name}, {"address", address.text()}, {"user_code", code.user_code}, {"verification_uri", code.verification_uri},
                     {"verification_uri_complete", code.verification_uri_complete}, {"expires_in", code.expires_in.count()}});
  } else {
    out << "Open    " << code.verification_uri << "\nand enter  " << code.user_code << "\n";
    if (!code.verification_uri_complete.empty()) out << "or open " << code.verification_uri_complete << "\n";
    out << "\nWho signs in at " << issuer.name << " is bound to the address " << address.text();
    if (own && *own == address) out << ", where this terminal comes from";
    out << ".\n";
    if (own && *own != address) out << "This terminal comes from another one, " << own->text() << ".\n";
    out << "Give the code to nobody but the person at that address: a code that is entered by somebody else lends that\naddress their rights. It runs out in "
        << code.expires_in.count() / 60 << " min.\n";
  }
  out.flush();
}

constexpr std::chrono::seconds kLook{2}, kPortalTime{600};   // As long as two sign-ins at the portal may take.

// The person's own browser does it, from the address itself; we say where, and see when it is done.
int login_by_portal(VerbCall& call, const Config& config, const IssuerConfig& issuer, const Address& address, const std::optional<Address>& own) {
  const nlohmann::json asked{{"address", address.text()}};
  const auto before = ask_engine(config.control.socket, "bound", asked);
  if (!before) return call.fail(before.error());
  const std::string page = portal_page(config.identity.portal);
  std::ostream& out = call.terminal.out;
  if (call.json) {
    call.print_json({{"issuer", issuer.name}, {"address", address.text()}, {"portal", page}});
  } else {
    out << "Open    " << page << "\nin a browser on " << address.text();
    if (own && *own == address) out << ", where this terminal comes from";
    out << ".\n\nWho signs in there at " << issuer.name << " is bound to that address and to no other: a browser elsewhere binds its own.\n";
  }
  out.flush();
  for (std::chrono::seconds waited{0}; waited < kPortalTime; waited += kLook) {
    call.terminal.wait(kLook);
    const auto now = ask_engine(config.control.socket, "bound", asked);
    if (!now) return call.fail(now.error());
    if (!now->value("bound", false) || *now == *before) continue;
    const std::string until = now->value("until", std::string());
    if (call.json) {
      call.print_json({{"address", address.text()}, {"id", now->value("id", uint64_t{0})}, {"until", until}});
    } else {
      out << address.text() << " is bound, binding " << now->value("id", uint64_t{0}) << (until.empty() ? "" : ", until " + until) << "\n";
    }
    return kExitDone;
  }
  return call.fail(kExitDenied, "nobody has signed in at " + page + " from " + address.text() + " in " + std::to_string(kPortalTime.count() / 60) + " min");
}

int run_login(VerbCall& call) {
  if (!call.words().empty()) return call.fail(kExitUsage, "nothing stands after the options");
  const std::optional<Address> own = terminal_address(call);
  auto address = call.has("address") ? Address::parse(call.text("address")) : own ? Result<Address>(*own) : fail(Error::Kind::kInvalid, "say which address is to be bound");
  if (!address) return call.fail(kExitUsage, "--address: " + address.error().message);
  const auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  const IssuerConfig* issuer = find_issuer(call, loaded->config.identity.issuers);
  if (issuer == nullptr) return kExitUsage;
  const bool has_portal = portal_issuer(loaded->config.identity) == issuer;
  if (has_portal && !call.has("device")) return login_by_portal(call, loaded->config, *issuer, *address, own);
  const std::string path = "identity.issuers[" + issuer->name + "].login";
  if (is_by_portal_alone(loaded->config.identity, issuer->name)) {
    return call.fail(kExitUsage, "--device: a code binds the address of who asked for it to whoever enters it; people of " + issuer->name + " " + how_to_sign_in(loaded->config.identity) +
                                     " (" + path + ".flows would have to hold device)");
  }
  if (issuer->client_id.empty()) return call.fail(kExitUsage, path + ".client_id is missing: register this gateway at the provider, as a client with the device flow");
  if (!issuer->flows.empty() && std::find(issuer->flows.begin(), issuer->flows.end(), "device") == issuer->flows.end()) {
    return call.fail(kExitUsage, path + ".flows does not hold device, the only one that a terminal can do; code needs identity.portal");
  }
  identify::DeviceFlow flow;
  flow.issuer = *issuer;
  flow.https = call.terminal.https;
  flow.wait = [&call](std::chrono::seconds time) { call.terminal.wait(time); };
  if (!issuer->client_secret_file.empty()) {
    const auto secret = transport::read_secret_file(issuer->client_secret_file);
    if (!secret) return call.fail(secret.error());
    flow.client_secret = std::string(secret->view());
  }
  auto sign_in = identify::begin_device_flow(flow);
  if (!sign_in) return fail_at_provider(call, sign_in.error());
  show(call, *issuer, sign_in->code, *address, own);
  auto token = identify::finish_device_flow(flow, *sign_in);
  transport::wipe(flow.client_secret);
  transport::wipe(sign_in->code.device_code);
  transport::wipe(sign_in->verifier);
  if (!token) return fail_at_provider(call, token.error());
  return bind_token(call, loaded->config, *address, *token);
}

}  // namespace

Verb login_verb() {
  return {.name = "login",
          .group = "People and sessions",
          .summary = "let a person sign in with a browser, and bind their address",
          .synopsis = "[--issuer NAME] [--address ADDRESS] [--device] [--reason TEXT]",
          .description = "With identity.portal it prints the portal's address and waits until a person has signed in there with a browser on the address that is to be bound. Without a portal, or with --device where "
                         "login.flows holds device, it runs the device flow (RFC 8628) at a provider of identity.issuers: prints an address and a code, waits until a person has opened the one, entered the other and "
                         "signed in, then binds the address to who they are, as `weir bind` does; the browser may be on any host, so that a code in the wrong hands binds the wrong address. Without --address it is the "
                         "address that this terminal comes from (SSH_CONNECTION). The token goes to the engine and nowhere else.\nJSON: two lines: {issuer, address, portal} or {issuer, address, user_code, "
                         "verification_uri, ...} at once, the binding in the end",
          .exits = "0 bound\n1 the provider's answer cannot be used\n2 the command line or the configuration is wrong\n3 the engine is not running, or has no keys of that provider\n"
                   "4 nobody signed in in time, the person refused, the provider refuses this client, or the address is somebody else's\n5 the provider does not answer",
          .example = "weir login --issuer example-idp --address 198.18.1.7\nweir login\nweir login --device --address 198.18.1.7",
          .add_options = [](po::options_description& options) {
            options.add_options()("issuer", po::value<std::string>()->value_name("NAME"), "of identity.issuers; may be left out where there is one")
                ("address", po::value<std::string>()->value_name("ADDRESS"), "the person's address, as targets see it")
                ("device", "run the device flow, also where there is a portal")
                ("reason", po::value<std::string>()->value_name("TEXT"), "why, for the record; not required, as who signs in says so themselves");
          },
          .run = run_login};
}

}  // namespace weir::control
