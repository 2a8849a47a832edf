"""What happens at each border, in words for the person who runs the farm, and the tests that show it."""

from __future__ import annotations

from typing import NamedTuple

_TASK = "tests/contract/test_task.py::test_"
_BORDERS = "tests/cloud/nonce/test_borders.py::test_"
_USAGE = "tests/agent/cli/test_usage.py::test_"
_MANY = "tests/agent/cli/test_many.py::test_"
_INSTALL = "tests/service/install/"
_SHEET = "tests/agent/cli/test_sheet.py::test_"
_CONFIG = "tests/agent/config/test_file.py::test_"
_ENROLLED = "tests/agent/miners/test_rigs.py::test_"
_HANGING = "tests/agent/telemetry/test_hanging_rigs.py::test_"
_RIG_COMMANDS = "tests/agent/cli/test_rigs.py::test_"
_SERVERS = "tests/agent/firmware/test_servers.py::test_"
_REACH = "tests/agent/firmware/test_download_reach.py::test_"
_KNOWN = "tests/agent/link/test_known_cloud.py::test_"
_TLS = "tests/cloud/tls/test_"
_REVOKED = "tests/cloud/test_revocation.py::test_"
_EVERY_KEY = "tests/system/test_every_key.py::test_"
_KEPT = "tests/agent/firmware/test_kept.py::test_"
_LIBRARY = "tests/cloud/firmware/test_library.py::test_"
_IMAGES = "tests/cloud/firmware/test_orders.py::test_"
_USER = "tests/agent/host/test_hostuser.py::test_"
_OWNER = "tests/cloud/test_cli_owner.py::test_"
_FOLDER = "tests/agent/host/test_state_of_another.py::test_"
_HUNT = "tests/agent/scan/test_hunt.py::test_"
_MISSING = "tests/agent/miners/test_missing.py::test_"
_HIDDEN = "tests/agent/miners/test_hidden.py::test_"
_DOCTOR = "tests/agent/cli/test_doctor.py::test_"
_TELEMETRY = "tests/agent/telemetry/test_poller.py::test_"
_REFUSALS = "tests/cloud/rigmonitor/test_refusals.py::test_"
_MACHINES = "tests/cloud/rigmonitor/test_reports.py::test_"
_RIGS = "tests/cloud/rigmonitor/test_rigs.py::test_"
_PLAYBOOKS = "tests/cloud/rigmonitor/test_playbooks.py::test_"
_FETCHED = "tests/agent/rigmonitor/test_playbooks.py::test_"
_JUDGED = "tests/agent/rig/test_playbooks.py::test_"
_PROGRAMS = "tests/agent/rig/test_programs.py::test_"
_RESTARTS = "tests/agent/rig/test_restarts.py::test_"
_CALLERS = "tests/agent/rig/test_server.py::test_"
_EXPECTED = "tests/cloud/rigmonitor/test_expected.py::"
_BOOKS = "tests/cloud/nonce/test_books.py::test_"
_MINERS = "tests/cloud/nonce/test_miners.py::test_"
_LIMITED = "tests/drivers/whatsminer/test_limited.py::test_"
_SKIPS = "tests/cloud/nonce/test_skips.py::test_"
_PARTS = "tests/cloud/assets/test_parts.py::test_"
_PROPOSALS = "tests/cloud/assets/test_proposals.py::test_"
_NAMED = "tests/cloud/assets/test_ranges.py::test_"
_LIKENESS = "tests/cloud/assets/test_likeness.py::test_"
_SELECTIONS = "tests/cloud/nonce/test_selections.py::test_"
_GROUPS = "tests/cloud/nonce/test_groups.py::test_"
_UNDO = "tests/cloud/nonce/test_undo.py::test_"
_ORDERS = "tests/cloud/nonce/test_orders_cli.py::test_"
_ENTRIES = "tests/cloud/subscriptions/test_ledger.py::test_"
_DISPATCH = "tests/cloud/subscriptions/test_dispatch.py::test_"
_KILLED = "tests/cloud/test_killed.py::test_"
_TURNS = "tests/cloud/updates/test_turns.py::test_"
_UPDATES = "tests/cloud/updates/test_orders.py::test_"
_LINES = "tests/cloud/http/test_connections.py::test_"
_GROWTH = "tests/cloud/store/test_growth.py::test_"
_CLOUD = "tests/cloud/test_cli.py::test_"
_ROLES = "tests/cloud/test_roles.py::test_"
_AUDIT = "tests/cloud/test_audit.py::test_"
_MAINTENANCE = "tests/cloud/test_maintenance.py::test_"
_BUNDLE = "tests/release/test_bundle.py::test_"
_TRUST = "tests/release/test_trust.py::test_"
_JUDGED_AGAIN = "tests/release/test_verification.py::test_"
_ATTACKS = "tests/agent/update/test_attacks.py::test_"
_STAGING = "tests/agent/update/test_staging.py::test_"
_ROOT = "tests/agent/installer/test_agentfolder.py::test_"
_INSTALLED = "tests/agent/installer/test_machine.py::test_"
_ORDER = "tests/agent/update/test_order.py::test_"
_ORDERED = "tests/cloud/release/test_self_update.py::test_"
_BACK = "tests/agent/update/test_going_back.py::test_"
_VERSIONS = "tests/agent/journal/test_versions.py::test_"
_SELF_TEST = "tests/agent/selftest/test_selftest.py::test_"
_SIGNING = "tests/cloud/release/test_commands.py::test_"
_SHOWN = "tests/cloud/release/test_serving.py::test_"
_CHANGED = "tests/release/test_mutations.py::test_"
_READING = "tests/drivers/antminer/test_reading.py::test_"
_LIMIT = "tests/drivers/whatsminer/test_power_limit.py::test_"
_CALLS = "tests/agent/subscriptions/test_http.py::test_"
_LEDGER = "tests/agent/subscriptions/test_local.py::test_"
# With its guard off the quirk is seen, and so the test passes: each run switches these off.
_UNGUARDED = "::test_without_its_guard_the_quirk_is_seen"
_OF_READING = f"tests/drivers/antminer/test_quirks_of_reading.py{_UNGUARDED}"
_OF_REPLIES = f"tests/drivers/antminer/test_quirks_of_replies.py{_UNGUARDED}"
_OF_ORDERS = f"tests/drivers/antminer/test_quirks_of_orders.py{_UNGUARDED}"
_OF_WHATSMINER = f"tests/drivers/whatsminer/test_quirks.py{_UNGUARDED}"
_OF_ICERIVER = f"tests/drivers/iceriver/test_quirks.py{_UNGUARDED}"


class Point(NamedTuple):
    name: str
    now: str
    tests: tuple[str, ...]  # node ids of pytest


POINTS: dict[str, tuple[Point, ...]] = {
    "Keys that are not known": (
        Point(
            "parameters of a task",
            "A key that is not known is refused, also inside a list, with the nearest one that is.",
            (
                f"{_TASK}a_key_that_is_not_known_is_refused_by_name",
                f"{_TASK}beside_a_key_that_is_not_known_stands_the_nearest_one_and_nothing_else",
            ),
        ),
        Point(
            "`act --params`",
            "Ends with status 2 and says `params.sha265: unknown key; did you mean sha256?`; nothing is sent.",
            (f"{_USAGE}a_task_asked_for_wrongly_is_answered_with_how_to_ask",),
        ),
        Point(
            "parameters that a newer cloud gives an agent",
            "The task ends as `bad_params`, not done; the message names the key that is meant.",
            (
                "tests/agent/tasks/test_admission.py::test_a_parameter_that_is_not_known_ends_a_task_with_the_one_that_is_meant",
            ),
        ),
        Point(
            "tasks that an agent does not know",
            "The cloud gives an agent only what it says it knows; one that comes all the same ends as `unsupported`, and the others of its claim are carried out.",
            (
                "tests/agent/tasks/test_admission.py::test_a_task_of_a_newer_cloud_ends_as_unsupported_and_holds_up_no_other",
                "tests/cloud/link/test_claims.py::test_an_older_agent_is_given_no_task_it_does_not_know_and_the_task_ends_with_the_fix",
                "tests/cloud/link/test_claims.py::test_an_agent_is_given_only_what_it_says_it_knows_also_when_it_is_woken",
            ),
        ),
        Point(
            "more values in filters than a database takes",
            "400 from 5000 values of all filters together; what is taken is answered, however it is spread.",
            (
                "tests/cloud/nonce/test_selections.py::test_more_values_than_a_database_takes_are_refused_with_what_to_do",
                "tests/cloud/nonce/test_selections.py::test_every_text_filter_at_once_with_as_many_values_as_it_takes_finds_what_it_says",
            ),
        ),
        Point(
            "bodies and filters of the Nonce API",
            "400 with one message per fault. A published name that is not served here is told as such.",
            (
                f"{_BORDERS}a_key_of_a_body_that_is_not_known_is_one_message_with_the_one_that_is_meant",
                f"{_BORDERS}each_fault_of_a_body_is_one_message",
            ),
        ),
        Point(
            "query parameters",
            "400 before anything is done, in every call of the Nonce API; so is one value told twice.",
            (
                f"{_BORDERS}no_call_takes_a_query_parameter_that_it_does_not_know",
                f"{_BORDERS}a_filter_of_a_list_that_is_not_known_is_refused_with_the_one_that_is_meant",
                f"{_BORDERS}each_fault_of_a_query_is_one_message",
            ),
        ),
        Point(
            "the config",
            "`cloud.urrl: unknown key; did you mean url?`",
            (f"{_CONFIG}a_mistake_is_named_with_its_key",),
        ),
        Point(
            "what is taken all the same",
            "The comment of tags, `health_statuses` and the object of `miner.log.get` are published as free: taken, not "
            "stored. What an agent tells of a task may come from a newer version.",
            (
                f"{_BORDERS}what_is_published_as_ignored_is_ignored",
                f"{_TASK}a_log_is_asked_for_with_a_free_object_of_which_nothing_is_kept",
                f"{_TASK}what_is_told_of_a_task_may_come_from_a_newer_version",
                "tests/cloud/link/test_onsite.py::test_parameters_are_kept_in_the_apis_names_and_unknown_ones_not_at_all",
            ),
        ),
        Point(
            "`allow_maintenance`",
            "Taken and stored for every task of a miner. Without it nothing writes to a miner in maintenance.",
            (
                f"{_MAINTENANCE}what_would_write_to_it_is_skipped_with_the_reason",
                f"{_TASK}every_task_of_a_miner_may_say_that_maintenance_is_no_hindrance",
                f"{_BORDERS}that_maintenance_is_no_hindrance_can_be_said_of_every_task",
            ),
        ),
    ),
    "Pools, passwords and texts": (
        Point(
            "pools",
            "A scheme that miners know, a host, a port from 1 to 65535 if any, and a user are needed; anything else is "
            "refused before a miner is asked.",
            (
                f"{_TASK}bad_parameters_are_refused_by_name",
                f"{_TASK}a_pool_of_a_known_scheme_is_taken_as_it_is_written",
            ),
        ),
        Point(
            "watts and percent of a power limit",
            "Of one miner: 100 to 30000 W, 1 to 100 %; anything else is refused with what would work, and so is more than "
            "a miner says it is made for.",
            (
                f"{_TASK}bad_parameters_are_refused_by_name",
                f"{_LIMIT}more_than_it_is_made_for_is_refused_with_what_would_work",
            ),
        ),
        Point(
            "a password inside a url",
            "Reaches the miner, and is `***` wherever the url is shown: readings, tasks, results, logs, refusals.",
            (
                "tests/contract/test_hiding.py::test_a_reading_never_holds_the_password_of_a_pools_url",
                "tests/contract/test_hiding.py::test_whatever_the_password_is_it_does_not_show",
                "tests/drivers/makes/test_pools.py::test_a_password_inside_a_url_reaches_the_miner_and_is_not_shown",
                f"{_BORDERS}a_password_is_hidden_in_params_url_result_and_log",
                f"{_BORDERS}a_pool_that_a_miner_shows_has_no_password_in_its_url",
                f"{_TASK}a_url_that_is_refused_is_not_quoted_with_its_password",
            ),
        ),
        Point(
            "passwords of a task",
            "Leave the cloud's database when the task ends, however it ends, those of a batch with its last task; those of "
            "earlier versions leave it at the first start.",
            (
                "tests/cloud/link/test_reports.py::test_the_passwords_of_a_task_leave_the_database_however_it_ends",
                f"{_BORDERS}the_passwords_of_a_task_leave_the_database_with_its_end",
                "tests/cloud/store/test_migration_of_passwords.py::test_passwords_of_what_has_ended_leave_the_database_and_others_stay",
            ),
        ),
        Point(
            "stars in place of a password",
            "Refused, so that they are never written to a miner; a batch whose passwords are gone is created again, not retried (409).",
            (f"{_BORDERS}what_needs_a_password_that_is_gone_is_not_retried_without",),
        ),
        Point(
            "texts",
            "Tags, racks, names, versions and checksums have a length and no control characters.",
            (
                f"{_TASK}bad_parameters_are_refused_by_name",
                f"{_BORDERS}a_key_of_a_body_that_is_not_known_is_one_message_with_the_one_that_is_meant",
            ),
        ),
        Point(
            "several faults at once",
            "One fault is one message, and not more of them than a person reads.",
            (
                f"{_TASK}each_problem_has_its_sentence",
                f"{_TASK}however_many_keys_are_wrong_the_first_are_told",
            ),
        ),
        Point(
            "a body in an encoding that is not spoken",
            "415 in the documented body; what is no HTTP at all is 400 there.",
            (
                "tests/cloud/link/test_readings.py::test_an_encoding_that_is_not_spoken_is_named_in_the_documented_body",
                "tests/cloud/nonce/test_bad_input.py::test_an_encoding_that_is_not_spoken_is_refused_in_the_documented_body",
                f"{_REFUSALS}an_encoding_that_is_not_spoken_is_refused_in_the_form_of_this_api",
                f"{_LINES}what_is_no_http_is_refused_in_the_documented_body",
            ),
        ),
    ),
    "Where firmware comes from": (
        Point(
            "private, loopback and link-local addresses",
            "`policy_refused`, and nothing is connected to, however the address is written; neighbours of the agent's host "
            "count as private whatever their numbers.",
            (
                f"{_SERVERS}what_is_not_public_is_not_fetched_from_in_whatever_form",
                f"{_SERVERS}a_neighbour_with_a_public_number_is_no_public_server",
                f"{_REACH}no_spelling_of_this_host_is_connected_to",
            ),
        ),
        Point(
            "what `[firmware] allowed` names, and the cloud itself",
            "Fetched from.",
            (
                f"{_SERVERS}a_private_address_is_fetched_from_only_where_the_config_names_it",
                f"{_SERVERS}the_cloud_itself_is_fetched_from_wherever_it_stands",
                f"{_REACH}a_server_that_the_config_names_is_fetched_from",
                f"{_REACH}the_cloud_itself_is_fetched_from",
            ),
        ),
        Point(
            "metadata addresses",
            "Never fetched from, whatever the config names, and not said to be allowed by a setting.",
            (
                f"{_SERVERS}metadata_services_are_never_fetched_from",
                f"{_REACH}what_no_setting_allows_is_not_said_to_be_allowed_by_one",
            ),
        ),
        Point(
            "redirects",
            "Each step is looked up and checked again; a password of the url goes to no other server.",
            (
                f"{_REACH}every_step_of_a_redirect_is_checked_anew",
                f"{_REACH}a_redirect_through_a_proxy_is_checked_too",
                f"{_REACH}a_password_of_the_url_goes_to_no_other_server",
            ),
        ),
        Point(
            "the address that was checked",
            "Is the one connected to, or asked of the proxy; TLS verifies the name.",
            (
                f"{_REACH}a_name_is_connected_to_at_the_address_that_was_checked",
                f"{_REACH}of_several_addresses_only_those_allowed_are_connected_to",
                f"{_REACH}a_proxy_is_asked_for_the_address_that_was_checked",
                f"{_REACH}https_is_verified_by_the_name_and_connected_to_by_the_address",
            ),
        ),
        Point(
            "errors",
            "Tell no status, checksum or address of what answered: those stand in the agent's own log.",
            (
                f"{_REACH}an_error_is_the_same_whatever_the_server_said",
                f"{_REACH}what_is_refused_says_nothing_of_names_and_servers_inside",
                "tests/agent/firmware/test_download.py::test_a_file_with_another_checksum_is_refused_and_removed",
            ),
        ),
        Point(
            "link-local addresses of miners",
            "169.254.0.0/16 is touched only where `[miners] allowed` names it.",
            (
                "tests/agent/miners/test_territory.py::test_only_private_addresses_are_touched_by_default",
                f"{_CONFIG}the_example_shows_every_key_and_its_default",
            ),
        ),
    ),
    "What is revoked": (
        Point(
            "a key, a token, the code of a machine",
            "Is refused at the next call, on a connection that is open, too; tasks that wait are not handed out.",
            (
                f"{_REVOKED}a_key_is_refused_at_the_next_call_of_a_connection_that_is_open",
                "tests/cloud/http/test_auth.py::test_revoked_and_expired_keys_stop_at_once",
                "tests/cloud/link/test_enroll.py::test_a_revoked_agent_is_refused_and_may_come_back_by_a_code_for_it",
                "tests/cloud/link/test_claims.py::test_an_agent_revoked_while_it_waits_is_given_nothing",
                f"{_REVOKED}a_machine_gets_another_code_and_stays_the_same_machine",
            ),
        ),
        Point(
            "enrolment codes",
            "End with the agent that they were made for, with their farm and their workspace, and by "
            "`enroll-code --revoke`.",
            (
                f"{_REVOKED}an_agent_that_is_revoked_does_not_come_back_by_a_code_of_before",
                f"{_REVOKED}nobody_joins_a_farm_in_the_archive",
                f"{_REVOKED}nobody_joins_a_workspace_that_is_revoked",
                f"{_REVOKED}codes_of_a_farm_that_nobody_used_are_revoked",
                f"{_REVOKED}codes_for_one_agent_are_revoked_and_those_of_its_farm_stay",
            ),
        ),
        Point(
            "the secret of links",
            "Another one, which a server makes that finds none, ends every link of before.",
            (f"{_REVOKED}another_secret_ends_every_link_of_before",),
        ),
        Point(
            "the commands of [Every key](security.md#every-key)",
            "Are run as they stand there; after each the key of before is tried, and the new one.",
            (f"{_EVERY_KEY}each_key_is_rotated_revoked_and_replaced_by_the_commands_of_the_page",),
        ),
    ),
    "Whom an agent takes for its cloud": (
        Point(
            "a code that names an authority",
            "Is sent to nobody who has not proven to be of that authority, by the name that was asked for.",
            (
                f"{_KNOWN}somebody_between_with_an_authority_of_their_own_learns_no_code",
                f"{_KNOWN}nor_does_one_that_passes_the_right_authority_on_and_shows_the_right_name",
                f"{_KNOWN}nor_one_whose_certificate_says_that_ours_made_it",
                f"{_KNOWN}by_a_name_that_its_certificate_has_not_the_cloud_is_not_known",
                f"{_KNOWN}a_server_without_tls_is_not_told_the_code",
                f"{_KNOWN}a_code_of_another_cloud_is_not_sent",
                f"{_KNOWN}a_file_that_was_named_has_to_hold_the_authority_of_the_code",
            ),
        ),
        Point(
            "half a fingerprint",
            "Is no code, and not one without a fingerprint.",
            (f"{_KNOWN}a_code_with_half_a_fingerprint_is_no_code_without_one",),
        ),
        Point(
            "what answers in place of authorities",
            "Megabytes, redirects, pages, cut certificates: refused within 64 KiB, and no code is sent.",
            (
                f"{_KNOWN}what_is_no_answer_about_authorities_is_refused_and_no_code_is_sent",
                f"{_KNOWN}a_certificate_whose_end_is_cut_off_is_not_taken_for_the_whole",
                f"{_KNOWN}of_several_that_are_told_only_the_one_of_the_code_is_kept",
            ),
        ),
        Point(
            "a pin",
            "Is of one cloud: another certificate gets no token, other servers are judged as ever, and a damaged one opens "
            "no door.",
            (
                f"{_KNOWN}a_cloud_that_shows_another_authority_afterwards_gets_no_token",
                f"{_KNOWN}firmware_from_the_cloud_itself_is_fetched_by_its_pin_and_none_from_others",
                f"{_KNOWN}a_monitor_that_is_the_cloud_is_known_as_the_cloud",
                f"{_KNOWN}a_pin_that_is_damaged_is_an_error_of_the_link_and_opens_no_door",
            ),
        ),
        Point(
            "another authority",
            "Is followed on a proven connection, once the cloud has shown its certificate; what the config names is never "
            "written.",
            (
                f"{_KNOWN}an_agent_that_is_pinned_follows_its_cloud_to_another_authority",
                f"{_KNOWN}an_agent_that_was_off_meanwhile_follows_when_it_comes_back",
                f"{_KNOWN}what_the_cloud_does_not_show_itself_is_not_followed",
                f"{_KNOWN}a_file_of_the_config_is_never_written",
                f"{_TLS}commands.py::test_the_former_authority_is_trusted_until_every_agent_was_online_since",
            ),
        ),
        Point(
            "keys and certificates of a cloud",
            "Each key in one file with its certificate: kills between writes, full disks, damage and wrong clocks leave one "
            "that works, or a sentence.",
            (
                f"{_TLS}folder.py::test_killed_between_two_writes_nothing_is_lost",
                f"{_TLS}folder.py::test_on_a_full_disk_the_old_one_stays_and_is_shown",
                f"{_TLS}folder.py::test_a_file_that_is_damaged_or_gone_is_named_with_what_to_do",
                f"{_TLS}folder.py::test_of_two_that_begin_at_once_one_does_it",
                f"{_TLS}folder.py::test_a_clock_that_was_set_back_since_makes_none_that_ends_earlier",
                f"{_TLS}keeper.py::test_a_clock_that_is_wrong_by_decades_is_said_and_leaves_what_works",
                f"{_TLS}keeper.py::test_what_is_damaged_while_it_runs_takes_nothing_away",
                f"{_TLS}commands.py::test_root_makes_them_for_the_owner_of_the_folder_who_serves_them",
            ),
        ),
        Point(
            "a beginning that was not finished",
            "Is no plain http: the server says what finishes it.",
            (f"{_TLS}commands.py::test_a_beginning_that_was_not_finished_is_no_plain_http",),
        ),
        Point(
            "names of a certificate",
            "Of hosts and addresses, without scheme, port or star; 64 at most.",
            (
                f"{_TLS}folder.py::test_what_is_no_name_of_a_host_is_refused",
                f"{_TLS}folder.py::test_more_names_than_a_certificate_holds_are_refused",
            ),
        ),
    ),
    "Releases": (
        Point(
            "metadata",
            "Believed only with the signatures that its root asks for, not older than what was seen, of one moment, not "
            "expired; what is in it and not signed is refused.",
            (
                f"{_TRUST}an_older_repository_is_refused",
                f"{_TRUST}files_of_two_moments_do_not_mix",
                f"{_TRUST}a_repository_that_stands_still_is_refused_once_it_expires",
                f"{_TRUST}too_few_keys_are_too_few_and_one_twice_is_one",
                f"{_TRUST}a_root_is_signed_by_the_one_before_and_by_itself",
                f"{_TRUST}what_is_in_a_file_and_not_signed_is_refused",
            ),
        ),
        Point(
            "how much is taken of it",
            "16 to 192 KiB a file, 64 roots, 120 s for all of it, 600 s for a bundle, 16 MiB of memory; a bundle is read in "
            "pieces, of the length that was signed for.",
            (
                f"{_ATTACKS}endless_data",
                f"{_ATTACKS}a_slow_drip_ends_at_the_deadline",
                f"{_TRUST}roots_do_not_go_on_for_ever",
                f"{_CHANGED}the_worst_metadata_takes_16_mib_at_most_whoever_signed_it",
                f"{_CHANGED}a_large_bundle_is_read_in_pieces",
            ),
        ),
        Point(
            "a clock of 1970 or 2099",
            "Is named and not believed: expiry is judged by the latest moment that has passed for sure.",
            (
                f"{_TRUST}a_clock_that_cannot_be_right_is_named_and_not_obeyed",
                f"{_TRUST}what_had_expired_before_it_was_signed_again_is_refused_by_any_clock",
                f"{_ATTACKS}a_clock_that_cannot_be_right",
            ),
        ),
        Point(
            "where releases are fetched from",
            "From where firmware may come, redirects included; a login page is no release.",
            (
                f"{_ATTACKS}a_redirect_is_followed_only_to_where_files_may_come_from",
                f"{_ATTACKS}a_server_that_the_config_does_not_allow_is_not_asked",
                f"{_ATTACKS}a_page_instead_of_a_file",
            ),
        ),
        Point(
            "an older release, or one for another platform",
            "Refused before it is fetched, and again by whoever installs.",
            (
                f"{_STAGING}an_older_or_equal_version_is_not_even_fetched",
                f"{_JUDGED_AGAIN}only_a_newer_release_is_taken",
                f"{_JUDGED_AGAIN}a_bundle_for_another_platform_is_refused",
            ),
        ),
        Point(
            "a release that the one before could not follow",
            "Not staged; a journal further back is left alone. Until it is proven a release works on the journal of the one before.",
            (
                f"{_STAGING}a_release_that_would_leave_no_way_back_is_not_staged",
                f"{_VERSIONS}without_proof_a_journal_is_worked_on_exactly_where_the_bundle_says_so",
                f"{_VERSIONS}each_works_on_tables_that_the_release_before_knows_until_it_is_proven",
                f"{_VERSIONS}the_step_that_was_put_off_is_taken_soon_after_the_proof_and_forgets_nothing",
                f"{_SELF_TEST}a_process_of_a_release_knows_by_itself_what_it_may_do",
                "tests/service/install/test_own.py::test_what_the_release_before_could_not_read_is_written_by_what_is_here_to_stay",
            ),
        ),
        Point(
            "a release that would not run on this host",
            "Its self-test says so: files that are not those of its stamp, a key of the config, a store that it cannot read in a "
            "copy, a disk without room for copies.",
            (
                f"{_SELF_TEST}files_of_a_release_that_are_not_those_of_its_stamp_fail_it",
                f"{_SELF_TEST}a_key_that_this_release_does_not_know_fails_it",
                f"{_SELF_TEST}a_damaged_store_fails_it_and_is_left_to_the_agent",
                f"{_SELF_TEST}a_journal_of_a_later_release_fails_it",
                f"{_SELF_TEST}open_tasks_that_it_cannot_read_fail_it",
                f"{_SELF_TEST}readings_that_it_would_drop_fail_it",
                f"{_SELF_TEST}a_file_that_the_user_of_the_agent_cannot_read_fails_it",
                f"{_SELF_TEST}a_full_disk_fails_it_before_anything_is_copied",
            ),
        ),
        Point(
            "what a newer release left in a store",
            "Is passed over where it was added; a miner of an unknown make costs itself alone.",
            (
                f"{_BACK}readings_that_wait_for_the_cloud",
                f"{_BACK}miners_that_are_known_though_one_is_of_a_make_that_is_not",
                f"{_BACK}transactions_and_the_subscriptions_that_follow_from_them",
                f"{_BACK}what_a_rig_runs",
                f"{_BACK}what_a_monitor_switched_off",
            ),
        ),
        Point(
            "a bundle of any other form",
            "Links, devices, sparse files, extended headers, paths, files twice, left out or too many, anything between or "
            "behind them: refused.",
            (
                f"{_BUNDLE}an_archive_of_any_other_form_is_refused",
                f"{_BUNDLE}an_archive_that_ends_early_or_late_is_refused",
                f"{_BUNDLE}nothing_hides_in_the_filling_between_files",
                f"{_BUNDLE}the_wheels_are_those_of_the_manifest_in_their_order",
                f"{_BUNDLE}a_bad_manifest_is_refused",
            ),
        ),
        Point(
            "a staged release that was changed since it was checked",
            "Refused by the second check, which follows no link and trusts nothing in the folder.",
            (
                f"{_JUDGED_AGAIN}a_bundle_swapped_after_the_first_check_is_refused",
                f"{_JUDGED_AGAIN}metadata_swapped_after_the_first_check_is_refused",
                f"{_JUDGED_AGAIN}a_link_is_not_followed",
                f"{_JUDGED_AGAIN}an_older_state_of_the_repository_is_refused_by_who_saw_a_newer_one",
            ),
        ),
        Point(
            "a bundle by its url",
            "Needs the signature of a pinned key over the whole file; `md5` is checked besides, never instead.",
            (
                f"{_STAGING}a_bundle_by_its_url_needs_the_signature_of_a_pinned_key",
                f"{_STAGING}md5_is_checked_beside_what_is_signed",
                f"{_JUDGED_AGAIN}a_bundle_signed_by_a_pinned_key_needs_no_metadata",
            ),
        ),
        Point(
            "what a release writes on an agent's host",
            "Nothing outside `update/` of its folder, and nothing at all where the disk has no room.",
            (
                f"{_ATTACKS}what_is_signed_is_no_path_on_this_host",
                f"{_STAGING}a_disk_without_room_refuses_before_anything_is_fetched",
                f"{_STAGING}what_a_crash_left_behind_is_cleared",
            ),
        ),
        Point(
            "what the agent hands to root's installer, when somebody has taken the agent over",
            "Plain files of known names, of one name each, by way of no link; whatever else lies there is passed over, refused, or taken away.",
            (
                f"{_ROOT}nothing_but_plain_files_of_their_own_is_taken",
                f"{_ROOT}no_link_is_followed_on_the_way",
                f"{_ROOT}what_is_no_plain_file_is_no_request_and_is_taken_away",
                f"{_ROOT}a_link_to_another_folder_has_nothing_unlinked_there",
                f"{_ROOT}a_folder_without_an_end_is_not_listed_to_its_end",
                f"{_ROOT}what_is_no_request_names_no_task",
                f"{_ROOT}a_task_whose_request_leads_elsewhere_is_refused",
                f"{_ROOT}a_process_that_says_nothing_plain_of_itself_says_nothing",
            ),
        ),
        Point(
            "a bundle that is changed after the agent looked at it, or for another host",
            "Refused by the check of root's own copy; nothing was restarted.",
            (
                f"{_INSTALLED}what_lies_ready_and_is_not_what_was_signed_is_refused",
                f"{_INSTALLED}another_bundle_than_the_one_that_was_asked_for_is_refused",
                f"{_INSTALLED}a_bundle_that_is_swapped_while_it_is_copied_is_refused",
                f"{_INSTALLED}a_bundle_that_is_swapped_after_it_was_copied_changes_nothing",
                f"{_INSTALLED}a_bundle_for_another_host_is_refused",
                f"{_INSTALLED}a_release_that_is_not_newer_is_refused_and_stays",
            ),
        ),
        Point(
            "a release that does not prove itself",
            "The one before comes back within the limits of `[update]`, restarted once.",
            (
                f"{_INSTALLED}one_that_does_not_prove_itself_is_gone_back_from_within_its_limit",
                f"{_INSTALLED}what_dies_before_it_settled_is_not_proven",
                f"{_INSTALLED}what_another_process_says_does_not_count",
                f"{_INSTALLED}a_bundle_that_cannot_read_the_journal_is_not_started",
                f"{_INSTALLED}a_release_that_takes_the_host_down_each_time_is_given_up",
                f"{_INSTALLED}a_release_that_is_taken_away_before_it_runs_is_gone_back_from",
                f"{_INSTALLED}a_release_that_somebody_installs_meanwhile_is_left_alone",
            ),
        ),
        Point(
            "an update on a disk that is full, or that is killed or cut off at any step",
            "A full disk refuses first. Whatever ends it, it goes on from what is on the disk, to one true outcome and a release that runs.",
            (
                f"{_INSTALLED}a_full_disk_refuses_before_anything_is_changed",
                f"{_INSTALLED}a_disk_that_fills_at_a_step_takes_the_old_release_from_nobody",
                f"{_INSTALLED}a_task_has_one_outcome_whatever_is_asked_for_again",
                f"{_INSTALLED}what_was_said_to_be_refused_is_not_done_after_all",
                f"{_INSTALLED}nothing_begins_by_a_config_that_cannot_be_read",
                f"{_INSTALLED}it_goes_on_after_a_power_cut_by_the_defaults_where_the_config_is_gone",
                "tests/agent/installer/test_sweep.py::test_it_ends_on_a_release_that_runs_and_with_a_true_outcome",
            ),
        ),
        Point(
            "an update of the agent, asked for by an order",
            "Asked for once: after the intent is on disk and the cloud has granted it, and by no process that comes later.",
            (
                f"{_ORDER}the_intent_and_the_grant_come_before_the_request",
                f"{_ORDER}what_the_cloud_does_not_grant_is_not_asked_for",
                f"{_ORDER}an_agent_that_died_before_it_asked_never_asks",
                f"{_ORDER}an_agent_that_died_after_it_asked_goes_on_watching",
                f"{_ORDER}a_journal_put_back_from_a_copy_asks_for_nothing",
                f"{_ORDERED}an_agent_that_is_killed_around_its_request_never_asks_twice",
            ),
        ),
        Point(
            "an update that is done",
            "Where root's installer and the process that runs both say so; where they disagree it is unknown.",
            (
                f"{_ORDER}done_by_root_alone_is_not_done",
                f"{_ORDER}not_done_by_root_is_not_believed_of_the_release_that_runs",
                f"{_ORDER}without_a_word_of_root_the_process_itself_tells",
                f"{_ORDER}an_installer_that_is_still_at_it_leaves_the_end_unknown",
            ),
        ),
        Point(
            "what root's installer says",
            "Read where root owns it and nobody else may write it, by no link, 4 MiB at most, and of that order alone.",
            (
                f"{_ORDER}odd_outcomes_are_not_used_and_that_is_said",
                f"{_ORDER}a_folder_of_another_user_is_not_roots",
                f"{_ORDER}the_outcome_of_another_order_says_nothing_of_this_one",
                f"{_ORDER}what_root_did_not_do_is_told_with_its_reason_and_log",
            ),
        ),
        Point(
            "a second update",
            "Waits behind the first one; ends as `busy` while root still has to do with one whose limit is past.",
            (
                f"{_ORDER}the_second_of_two_waits_for_the_first",
                f"{_ORDER}one_that_root_still_has_to_do_with_keeps_the_next_from_beginning",
                f"{_ORDER}a_request_that_nobody_takes_is_taken_back_at_the_limit",
            ),
        ),
        Point(
            "an update where nobody could install it",
            "`unsupported` before anything is fetched, with the command that does it there.",
            (
                f"{_ORDER}an_agent_that_is_not_managed_names_the_command",
                f"{_ORDER}an_environment_of_ones_own_names_its_pip",
                f"{_ORDER}a_unit_that_is_masked_is_none",
            ),
        ),
        Point(
            "`[update]`",
            "https or this host, known channels, whole keys, limits within bounds.",
            ("tests/agent/config/test_file.py::test_a_mistake_is_named_with_its_key",),
        ),
        Point(
            "signing and publishing",
            "Refused for what no agent would believe, for a key that lies open, for a second content of a version, by a clock "
            "that went back.",
            (
                f"{_SIGNING}what_no_agent_would_believe_is_not_published",
                f"{_SIGNING}a_key_that_lies_open_is_not_used",
                f"{_SIGNING}a_version_has_one_content",
                f"{_SIGNING}a_clock_that_went_back_signs_nothing",
                f"{_SIGNING}no_key_is_written_over",
            ),
        ),
        Point(
            "`/releases`",
            "GET of one file by its name: no listing, no link, one range at a time.",
            (
                f"{_SHOWN}there_is_only_get",
                f"{_SHOWN}there_is_no_listing_and_no_way_out",
                f"{_SHOWN}no_link_is_followed",
                f"{_SHOWN}a_range_may_be_asked_for_and_only_one",
            ),
        ),
    ),
    "Firmware library": (
        Point(
            "an upload",
            "Goes on after it broke off, from what arrived. Another file than was announced is thrown away (422); 413 over "
            "512 MiB, when it is announced; 507 where all images would be over their cap, or the disk is full.",
            (
                f"{_LIBRARY}an_upload_that_broke_off_goes_on",
                f"{_LIBRARY}two_uploads_of_one_image_at_once_make_one_file",
                f"{_LIBRARY}another_file_than_was_announced_is_thrown_away",
                f"{_LIBRARY}a_file_of_3_gb_is_refused_when_it_is_announced",
                f"{_LIBRARY}all_images_together_have_a_cap_of_their_own_and_none_goes_by_itself",
                f"{_LIBRARY}a_disk_that_is_full_is_said_and_the_upload_goes_on_once_it_has_room",
            ),
        ),
        Point(
            "an image in an order",
            "Has to be whole, of this workspace, and for the model of each miner (`unsupported_model`); a retry is of the same "
            "file or refused; what open tasks need is not removed.",
            (
                f"{_IMAGES}what_is_not_whole_or_not_that_file_is_not_ordered",
                f"{_IMAGES}an_image_of_another_workspace_is_none_of_ours",
                f"{_IMAGES}an_image_goes_to_the_models_that_it_is_for",
                f"{_IMAGES}a_retry_is_of_the_same_file_and_needs_it",
                f"{_IMAGES}an_image_that_open_tasks_need_stays",
            ),
        ),
        Point(
            "a link to an image",
            "Ends with its task, opens that image alone, is stored nowhere in the cloud and shown with `sig=***`; a file that "
            "was changed on the cloud's disk is a 404.",
            (
                f"{_IMAGES}a_link_ends_with_what_its_task_may_take",
                f"{_IMAGES}a_link_that_was_changed_opens_nothing",
                f"{_IMAGES}no_link_is_stored_or_shown_and_one_that_is_told_is_masked",
                f"{_IMAGES}a_file_that_was_changed_on_the_disk_of_the_cloud_is_not_handed_out",
            ),
        ),
        Point(
            "firmware that an agent kept",
            "Is read whole and compared before each use, gives way to what is wanted, and is at most `[limits] "
            "firmware_kept_mb`.",
            (
                f"{_KEPT}the_next_process_has_it_and_reads_it_before_it_is_used",
                f"{_KEPT}what_is_kept_gives_way_to_what_is_wanted",
                f"{_KEPT}what_was_used_longest_ago_goes_first",
                f"{_KEPT}what_a_crash_left_is_cleared_at_the_start",
            ),
        ),
    ),
    "Rigs": (
        Point(
            "a rig with a name, an address or a port that another has, or without what SSH needs",
            "Is refused when the config is read, by the key and with what would do.",
            (
                f"{_CONFIG}a_mistake_is_named_with_its_key",
                f"{_CONFIG}rigs_of_the_folder_beside_it_are_read_as_if_they_stood_in_it",
                f"{_CONFIG}a_denied_address_is_no_rigs",
                f"{_ENROLLED}a_rig_in_the_network_that_is_this_host_is_refused",
            ),
        ),
        Point(
            "a token or a password in the config, a key file that others can read",
            "Is refused; neither is shown.",
            (
                f"{_CONFIG}a_mistake_is_named_with_its_key",
                f"{_CONFIG}a_key_that_cannot_be_used_is_named",
            ),
        ),
        Point(
            "a host key that nobody took for right, or another than the one that was pinned",
            "Nothing is enrolled; later it is `wrong_device`, whatever asks, and nothing is sent.",
            (
                f"{_RIG_COMMANDS}the_key_of_the_host_is_shown_and_a_person_has_to_take_it",
                f"{_ENROLLED}another_host_key_is_a_wrong_device_for_whoever_asks",
                "tests/drivers/rig/test_ssh.py::test_another_host_key_ends_every_call_and_nothing_is_sent",
            ),
        ),
        Point(
            "a rig that hangs, drips, floods, holds a file or answers each time at the last moment",
            "Is told as an error, or with a fault for what it did not tell, by the deadline of its look. It holds one connection; "
            "the other rigs and miners keep their interval.",
            (
                f"{_HANGING}the_others_keep_their_interval_and_those_that_hang_are_told_by_name",
                "tests/drivers/rig/test_ssh.py::test_a_server_that_hangs_drips_or_floods_ends_by_the_deadline",
            ),
        ),
        Point(
            "what a rig sends over SSH and nobody asked for",
            "Ends its connection; the next look says so.",
            (
                "tests/drivers/rig/test_ssh.py::test_what_a_server_sends_and_nobody_asked_for_ends_its_connection",
            ),
        ),
        Point(
            "a key or token file of a rig that cannot be used",
            "That rig alone is not spoken to; the log, `status` and `doctor` say why.",
            (
                f"{_ENROLLED}a_key_that_is_open_to_everybody_is_the_trouble_of_its_rig_alone",
                "tests/agent/local/test_status.py::test_a_rig_whose_key_is_open_to_everybody_is_said_and_the_others_are_looked_after",
                f"{_RIG_COMMANDS}the_doctor_says_once_that_a_key_is_open_to_everybody",
            ),
        ),
        Point(
            "a scan over the address of a rig",
            "Leaves it out; no rig adds a port or an address to a scan.",
            (
                f"{_ENROLLED}no_scan_asks_a_rig_and_none_is_widened_by_one",
                f"{_ENROLLED}a_rig_needs_no_range_of_its_own_and_lends_none_to_others",
            ),
        ),
        Point(
            "an ASIC at the address of a rig, a rig at two addresses",
            "The one is not asked; the other is read at both and written to at neither.",
            (
                f"{_ENROLLED}where_a_rig_is_enrolled_nobody_else_is_met",
                f"{_ENROLLED}a_rig_enrolled_at_two_addresses_is_read_and_not_written_to",
            ),
        ),
        Point(
            "a card that is gone",
            "Stays in the list as a fault, also after a restart of the agent, until it is named in `ignored_cards`.",
            (
                f"{_ENROLLED}a_card_that_is_gone_is_missed_after_a_restart_of_the_agent",
                "tests/drivers/rig/test_read.py::test_a_card_that_is_ignored_is_neither_read_nor_missed",
            ),
        ),
    ),
    "Mining Rig Monitor": (
        Point(
            "the published bodies",
            "Are taken, and read back by the Nonce API.",
            (
                f"{_MACHINES}the_bodies_of_the_published_text_are_taken_and_read_back_by_the_nonce_api",
            ),
        ),
        Point(
            "a figure that no machine can have",
            "200, shown as none with a fault that names it; a unit that nobody knows is one fault.",
            (
                f"{_MACHINES}a_figure_no_machine_can_have_is_none_but_a_fault",
                f"{_MACHINES}a_log_with_impossible_figures_is_taken_and_shown_without_them",
                f"{_MACHINES}a_unit_nobody_knows_is_one_fault_however_many_rates_are_in_it",
            ),
        ),
        Point(
            "required fields",
            "Those that the published text requires are enough.",
            (
                f"{_REFUSALS}only_the_required_fields_are_enough",
                f"{_REFUSALS}a_body_without_fields_lacks_all_of_them",
            ),
        ),
        Point(
            "a code that is not known",
            "401 with `Invalid API_CODE`.",
            (f"{_REFUSALS}a_call_without_a_code_or_with_a_wrong_one_is_refused",),
        ),
        Point(
            "the code of an ASIC where rigs report, and the other way round",
            "401: each is unknown there.",
            (f"{_RIGS}a_code_is_good_for_one_half_of_the_api",),
        ),
        Point(
            "a coin without its algorithm, unit or rate",
            "422, told of the coin; the units of the text and of its server are both taken.",
            (
                f"{_RIGS}what_goes_together_is_given_whole_or_not_at_all",
                f"{_RIGS}units_are_taken_in_any_case_and_kept_in_one",
            ),
        ),
        Point(
            "a card that is in the specs and not in the log",
            "Is shown as a bad board with a fault, not left out.",
            (f"{_RIGS}a_card_that_the_log_does_not_tell_of_any_more_is_a_fault",),
        ),
        Point(
            "a playbook with an address that would end a word of a command line, or half a slot",
            "400; a rig has each program once, else 409.",
            (
                f"{_PLAYBOOKS}a_playbook_that_is_none_is_refused",
                f"{_PLAYBOOKS}a_rig_has_each_program_once",
            ),
        ),
        Point(
            "what the agent's client takes for an order to stop a rig",
            "An answer that says so, and nothing else: no answer, an error, 401, 404, 423 and an answer of which a part is not "
            "understood change nothing; an empty list counts at the second in a row.",
            (
                f"{_FETCHED}what_is_no_good_answer_changes_nothing_and_is_said",
                f"{_FETCHED}an_answer_that_is_not_understood_is_none",
                f"{_FETCHED}an_empty_list_counts_once_two_answers_in_a_row_say_so",
                f"{_FETCHED}an_empty_list_between_errors_never_counts",
            ),
        ),
        Point(
            "a rig of which the monitor cannot be told all",
            "Cards beyond the eighth, rates without a coin and of several algorithms side by side are left out, and said once.",
            (
                "tests/agent/rigmonitor/test_rig_reports.py::test_a_rig_of_more_than_eight_cards_is_said_once",
                "tests/agent/rigmonitor/test_rig_reports.py::test_a_coin_that_nobody_knows_is_said_with_its_key",
                "tests/agent/rigmonitor/test_rig_records.py::test_rates_without_a_coin_and_of_several_algorithms_are_left_out_and_why_is_said",
            ),
        ),
        Point(
            "secrets among the arguments of a playbook",
            "Are told to the rig alone: lists, log and audit have `***`.",
            (f"{_PLAYBOOKS}who_did_what_is_written_down_without_secrets",),
        ),
        Point(
            "`expected_status_bulk`",
            "Ten calls a second per address, behind a proxy that `--proxy` names the one it forwards; then 429.",
            (
                f"{_EXPECTED}test_whoever_asks_for_many_without_a_code_is_held_to_ten_times_a_second",
                f"{_EXPECTED}TestBehindAProxy::test_the_one_it_forwards_is_held_back_and_no_other",
                f"{_EXPECTED}test_of_very_many_callers_the_one_that_called_longest_ago_is_forgotten",
            ),
        ),
    ),
    "Nonce API": (
        Point(
            "published examples, and the guide's requests",
            "Answered as documented.",
            (
                "tests/cloud/nonce/test_guide.py::test_each_command_of_the_guide_answers_as_documented",
                "tests/cloud/nonce/test_guide.py::test_the_guides_example_of_a_skip_is_answered_with_the_reason",
            ),
        ),
        Point(
            "asset status",
            "`asset_status` is the last one given, in items and filters; `status` keeps the published words.",
            (
                f"{_BOOKS}the_last_asset_status_is_told_beside_the_published_words",
                "tests/cloud/store/test_schema.py::test_miners_of_an_earlier_version_keep_the_status_they_were_given",
            ),
        ),
        Point(
            "filters",
            "Find the miners whose field says so and no others.",
            (
                "tests/cloud/nonce/test_filters_agree.py::test_a_filter_finds_the_miners_whose_field_says_so_and_no_other",
                "tests/cloud/nonce/test_filters_agree.py::test_nothing_is_judged_by_figures_that_are_not_shown",
            ),
        ),
        Point(
            "`unsupported_mode`",
            "Says whether it is the make, the model or the firmware that lacks the mode.",
            (
                f"{_SKIPS}a_mode_that_cannot_be_set_says_whose_fault_that_is",
                f"{_SKIPS}miners_that_lack_a_mode_for_different_reasons_are_told_apart",
            ),
        ),
        Point(
            "no parameters",
            "`task_params` is `{}` in lists of batches.",
            (f"{_BOOKS}params_that_are_none_are_an_empty_object_in_lists_of_batches",),
        ),
        Point(
            "an agent's host",
            "Its figures are as young as its last heartbeat.",
            (f"{_BOOKS}the_host_of_an_agent_is_as_young_as_its_heartbeat_however_often_it_claims",),
        ),
        Point(
            "a deleted miner that comes back",
            "Is listed again, and an event says so.",
            (
                f"{_BOOKS}a_deleted_miner_that_comes_back_says_so_in_an_event",
                f"{_BOOKS}a_miner_known_by_its_address_alone_says_so_too",
            ),
        ),
        Point(
            "a light that is on",
            "`no_change` by a reading that asked for the light and is younger than two intervals.",
            (
                f"{_SKIPS}a_light_is_as_wished_only_by_a_reading_that_looked_at_it",
                f"{_SKIPS}a_light_with_an_open_task_is_not_called_unchanged",
                f"{_TELEMETRY}slow_and_static_facts_are_sent_only_when_they_changed",
            ),
        ),
        Point(
            "a power limit that is set",
            "`no_change` by a fresh reading that tells it, unless it draws more; `unsupported_mode` says what the firmware "
            "has in its place.",
            (
                f"{_SKIPS}a_power_limit_is_as_wished_only_by_a_reading_that_still_tells",
                f"{_SKIPS}who_takes_no_power_limit_is_skipped_with_what_it_has_in_its_place",
            ),
        ),
        Point(
            "mining that is off, or on",
            "`no_change` only where a look younger than two intervals shows it, and nothing is under way that may begin "
            "mining again. Off of a WhatsMiner that does not last for 3 minutes is unknown.",
            (
                f"{_SKIPS}mining_is_as_wished_only_where_that_is_read",
                f"{_SKIPS}a_task_under_way_that_may_begin_mining_again_leaves_no_miner_skipped_as_off",
                f"{_SKIPS}an_old_look_says_nothing_of_mining",
                "tests/agent/tasks/test_mining.py::test_a_whatsminer_that_comes_back_by_itself_is_not_called_off",
            ),
        ),
        Point(
            "power modes that a site forbids",
            "No mining is switched there either: sleep is one of them.",
            (
                "tests/agent/tasks/test_mining.py::test_a_site_that_forbids_power_modes_switches_no_mining_either",
            ),
        ),
        Point(
            "tasks of agents",
            "Go to agents seen within a day; the others are named as skipped.",
            (
                f"{_SKIPS}a_task_for_agents_goes_to_those_seen_within_a_day_and_names_the_others",
                f"{_SKIPS}when_no_agent_was_seen_no_batch_is_stored",
            ),
        ),
    ),
    "Roles, the audit, maintenance": (
        Point(
            "the role of a key",
            "403 before anything is done, with the role that is needed and the one that the key has. What nobody declared "
            "is for managers.",
            (
                f"{_ROLES}each_role_reaches_the_endpoints_that_are_declared_for_it",
                f"{_ROLES}each_role_reaches_the_tasks_that_are_declared_for_it",
                f"{_ROLES}every_endpoint_says_which_role_it_needs",
            ),
        ),
        Point(
            "the audit",
            "A row in the transaction of each write; no password, no secret; at most 64 KiB for each of before and after. "
            "Only age removes one, by the cloud's own time.",
            (
                f"{_AUDIT}no_password_is_ever_in_it",
                f"{_AUDIT}a_write_that_fails_leaves_nothing",
                f"{_AUDIT}no_row_is_longer_than_it_may_be",
                f"{_AUDIT}it_is_kept_as_long_as_tasks_whatever_the_clock_on_the_wall_says",
                f"{_AUDIT}nothing_but_the_sweep_by_age_touches_a_row",
            ),
        ),
        Point(
            "maintenance that begins while tasks wait",
            "They are called off, whoever has them, unless they allow it or have begun.",
            (
                f"{_MAINTENANCE}what_waits_for_an_agent_ends_when_maintenance_begins",
                f"{_MAINTENANCE}what_an_agent_holds_and_has_not_begun_is_called_off_at_once",
            ),
        ),
        Point(
            "maintenance and what is wished for on site",
            "The agent knows of it without its cloud and after a restart; wishes of a monitor wait until it has ended.",
            (
                "tests/cloud/test_maintenance_on_site.py::test_wishes_wait_through_a_cloud_that_is_away_and_a_restart_of_the_agent",
                "tests/agent/tasks/test_dispatcher_leave.py::test_what_the_cloud_told_of_maintenance_holds_for_every_task_and_without_it",
                "tests/agent/host/test_daemon.py::test_which_miners_are_in_maintenance_is_kept_for_a_start_without_a_cloud",
                "tests/agent/rigmonitor/test_client.py::test_a_miner_in_maintenance_is_left_as_it_is_and_followed_again_afterwards",
                f"{_MAINTENANCE}a_machine_of_the_monitor_is_told_nothing_while_it_is_in_maintenance",
            ),
        ),
    ),
    "Identity that lasts": (
        Point(
            "a miner that claims the serial numbers of one that answers",
            "A proposal that says that the other was seen with them, too, and that nobody can confirm (409).",
            (
                f"{_PROPOSALS}a_miner_that_claims_the_serials_of_one_that_answers_gains_nothing",
                f"{_PARTS}one_board_in_two_miners_that_answer_is_doubted",
            ),
        ),
        Point(
            "a swapped control board that would fit two records",
            "Neither is confirmed (409) before the other is rejected.",
            (f"{_PROPOSALS}where_two_would_fit_neither_is_confirmed",),
        ),
        Point(
            "a miner that answers, and was not read since another shows its parts",
            "409 until it is read: the two may have been swapped.",
            (
                f"{_PROPOSALS}a_miner_that_answers_is_read_once_more_before_it_is_believed_gone",
                f"{_PROPOSALS}two_swapped_control_boards_are_proposals_that_fit_together",
            ),
        ),
        Point(
            "a cloned MAC",
            "409: nobody can say which of the devices the record is.",
            (f"{_PROPOSALS}a_device_that_shows_the_mac_of_another_is_joined_with_nobody",),
        ),
        Point(
            "a task for a record whose control board is in another case by now",
            "Is skipped (`miner_not_found`), and an agent does not take that board for it, until one is met in its case.",
            (
                f"{_PROPOSALS}no_agent_gets_a_task_for_a_record_whose_board_is_in_another_case",
                "tests/agent/miners/test_inventory.py::test_an_id_that_came_to_another_control_board_is_of_that_one_alone",
            ),
        ),
        Point(
            "a confirmation for a miner in maintenance",
            "It stays in maintenance, under whichever record it has by then.",
            (
                f"{_PROPOSALS}a_confirmation_takes_no_miner_out_of_maintenance",
                f"{_PROPOSALS}of_two_that_were_swapped_both_stay_in_maintenance",
            ),
        ),
        Point(
            "zeros, `unknown`, one serial number on many miners",
            "Count nothing, and are followed nowhere.",
            (
                f"{_LIKENESS}a_placeholder_is_no_serial_number",
                f"{_PARTS}placeholders_are_followed_nowhere",
                f"{_PROPOSALS}serials_that_many_miners_show_propose_nothing",
            ),
        ),
        Point(
            "a miner that shows ever new parts; a farm with ever new proposals",
            "64 stays are kept of a miner, 1000 open proposals of a farm.",
            (
                f"{_PARTS}a_miner_that_shows_ever_new_parts_fills_no_disk",
                f"{_PROPOSALS}a_farm_has_only_so_many_proposals",
            ),
        ),
        Point(
            "records are joined while tasks of theirs are open",
            "409: whom they are meant for would change under them.",
            (f"{_PROPOSALS}open_tasks_of_the_two_come_first",),
        ),
        Point(
            "a named range that is everything, public, reversed, IPv6, or has a name with control characters",
            "400 with what is wrong.",
            (f"{_NAMED}what_is_no_name_or_no_range_of_a_farm_is_refused",),
        ),
        Point(
            "a scan of a named range that is another one by now",
            "400 with both.",
            (f"{_NAMED}an_order_to_scan_names_ranges_that_are_there",),
        ),
    ),
    "Orders for many miners": (
        Point(
            "a selection of nothing in particular",
            "400: an empty one, or one of wildcards only, would be every miner; that is said by `all`.",
            (
                f"{_SELECTIONS}what_selects_nothing_or_too_much_is_refused_by_name",
                f"{_SELECTIONS}filters_are_checked_when_they_are_kept",
            ),
        ),
        Point(
            "a selection that is another one than was shown",
            "409 with both numbers, nothing is stored; without `expect_count` 400.",
            (
                f"{_SELECTIONS}a_selection_that_grew_since_the_dry_run_is_refused_with_both_numbers",
                f"{_SELECTIONS}a_dry_run_tells_whom_it_would_be_and_stores_nothing",
                f"{_ORDERS}a_selection_is_shown_first_and_the_command_that_does_it_is_told",
            ),
        ),
        Point(
            "two operators at once",
            "The second is skipped as `no_change` while the newest open task of the miner is an equal one.",
            (
                f"{_SELECTIONS}of_two_operators_at_once_the_second_is_skipped",
                f"{_SELECTIONS}only_the_last_word_counts_as_asked_for_already",
            ),
        ),
        Point(
            "a canary",
            "The others are given to nobody, and do not expire, until all that go first are done and verified; else "
            "until an operator lets them go or calls them off.",
            (
                f"{_GROUPS}the_rest_is_held_until_those_that_go_first_are_proven",
                f"{_GROUPS}one_that_is_not_proven_holds_the_others_until_somebody_decides",
                f"{_GROUPS}no_agent_is_given_what_is_held",
            ),
        ),
        Point(
            "an update of agents",
            "One goes first; the others so many at a time, once it is done and verified. The first that is not ends all that "
            "has not begun, as `cancelled` with the reason; so does one that does not begin within its limit. One that is not "
            "there, runs from no release, or has the version already, is skipped.",
            (
                f"{_TURNS}one_goes_first_and_the_others_in_turns_once_it_is_proven",
                f"{_TURNS}a_first_one_that_is_not_proven_stops_all_others",
                f"{_TURNS}a_later_failure_stops_the_rest_and_what_has_begun_goes_to_its_end",
                f"{_TURNS}a_first_one_that_goes_offline_has_a_limit_and_then_all_others_end",
                f"{_TURNS}one_that_took_it_and_went_away_is_unknown_which_stops_too",
                f"{_UPDATES}who_is_skipped_is_told_with_the_reason",
                f"{_UPDATES}an_order_that_cannot_be_meant_so_is_refused_and_stores_nothing",
            ),
        ),
        Point(
            "a cloud that starts in an update of agents",
            "Goes on where its database stands, once the agents that wait have told what they know, or 15 minutes have passed: "
            "no copy of the database lets one go beside one that has begun, or has failed.",
            (
                f"{_TURNS}after_a_restart_nobody_follows_before_all_have_told_what_they_know",
                f"{_TURNS}one_that_never_tells_holds_the_others_up_no_longer_than_an_update_takes",
                f"{_TURNS}a_database_put_back_from_a_copy_lets_nobody_go_beside_one_that_has_begun",
                "tests/cloud/updates/test_killed.py::test_the_next_ones_turn_comes_once_although_the_cloud_died_with_the_report_before",
            ),
        ),
        Point(
            "a cloud that dies in an order",
            "All of its tasks are stored, or none; what waits for a canary is let go once.",
            (
                f"{_KILLED}a_cloud_killed_while_it_makes_a_thousand_tasks_has_made_all_or_none",
                f"{_KILLED}what_waits_for_a_canary_is_let_go_once_although_the_cloud_died_with_its_last_report",
            ),
        ),
        Point(
            "an undo",
            "409 for what cannot be put back, what has not ended, and pools whose passwords are not told.",
            (
                f"{_UNDO}what_cannot_be_put_back_says_so",
                f"{_UNDO}what_has_not_ended_is_not_undone",
                f"{_UNDO}a_password_that_nobody_keeps_is_asked_for",
            ),
        ),
        Point(
            "passwords of a group",
            "Are shown nowhere, and leave the database with its last task.",
            (
                f"{_GROUPS}passwords_of_a_group_are_hidden_and_leave_the_database_with_its_last_task",
            ),
        ),
    ),
    "A wrong password": (
        Point(
            "in lists and searches",
            "`auth_failed` in the miner's health, with what to do; `status=auth_failed` finds and counts such miners.",
            (
                f"{_SKIPS}a_miner_that_refuses_the_login_shows_it_and_gets_no_task_while_that_is_news",
                f"{_TELEMETRY}a_real_driver_says_that_the_login_is_refused_and_that_it_is_taken_again",
                f"{_TELEMETRY}while_the_login_is_refused_each_look_says_so",
            ),
        ),
        Point(
            "a MAC that is told only after the login",
            "The miner that its agent knows at that address shows `auth_failed`, and has no second record. It may be "
            "another device by now, so nothing else is taken over: its figures stay those last read, and it turns stale.",
            (
                f"{_SKIPS}what_refuses_the_login_at_the_address_of_a_known_miner_is_told_of_that_one",
                f"{_SKIPS}a_refused_look_that_brought_nothing_is_told_of_the_known_miner_too",
                f"{_SKIPS}who_takes_the_login_at_the_address_of_a_known_miner_is_another_one",
                f"{_SKIPS}where_no_miner_is_known_one_that_refuses_the_login_has_its_own_record",
            ),
        ),
        Point(
            "when a task is made",
            "The miner is skipped as `auth_failed` while the refusal is younger than two intervals, whether it tells a "
            "MAC or not.",
            (
                f"{_SKIPS}a_miner_that_refuses_the_login_shows_it_and_gets_no_task_while_that_is_news",
                f"{_SKIPS}a_refused_login_is_the_reason_before_a_mac_that_is_told_only_after_it",
            ),
        ),
        Point(
            "on the agent's host",
            "`doctor` names the miners, and says that the agent reads passwords when it starts, and where reading tries "
            "none; the agent tells how many in its heartbeat and its metrics.",
            (
                f"{_DOCTOR}doctor_says_where_reading_tries_no_password",
                f"{_DOCTOR}doctor_names_the_miners_that_refused_the_login_of_the_daemon",
                "tests/agent/host/test_daemon.py::test_how_many_miners_refuse_the_login_is_told_to_the_cloud_and_measured",
                "tests/agent/miners/test_inventory.py::test_who_refused_the_login_is_kept_until_it_is_taken_or_the_miner_is_forgotten",
            ),
        ),
        Point(
            "in the log",
            "Once when it begins and once when it ends.",
            (f"{_TELEMETRY}a_refused_login_is_said_once_per_change_and_kept_for_the_doctor",),
        ),
    ),
    "Miners that change addresses": (
        Point(
            "one that is not where it was",
            "It is looked for at once: where the neighbour table has its MAC, in its old /24, its range, all ranges. It keeps its id and its "
            "history. Nothing that is denied or outside is asked, and no address where a known miner answers.",
            (
                f"{_HUNT}one_that_moved_is_found_near_by_within_seconds",
                f"{_HUNT}its_own_range_comes_after_the_24_then_the_others_and_those_of_the_cloud",
                f"{_HUNT}what_is_denied_or_outside_is_not_looked_through",
                "tests/cloud/test_moves.py::test_miners_that_change_addresses_keep_their_ids_and_their_history",
            ),
        ),
        Point(
            "one that shows a new MAC each time it is asked",
            "At most four that were lost at one address are looked for at a time, each ever more seldom.",
            (
                f"{_HUNT}one_with_a_new_mac_each_time_does_not_keep_it_running",
                f"{_MISSING}of_many_that_were_lost_at_one_address_the_first_are_looked_for",
            ),
        ),
        Point(
            "one that is off",
            "It is looked for ever more seldom, at most once an hour, and after a day no more; one that only restarts, less each time.",
            (
                f"{_HUNT}a_rack_that_is_off_is_looked_for_ever_more_seldom_and_found_when_it_is_on",
                f"{_MISSING}what_is_not_found_is_looked_for_ever_more_seldom_and_then_no_more",
                f"{_MISSING}one_that_only_restarts_is_looked_for_less_each_time",
            ),
        ),
        Point(
            "one that is switched off and tells no MAC",
            "It keeps its record, through a restart of the agent too, if all that it tells is what the one that was there told, and nobody else "
            "shows its MAC. Nothing but what wakes it is done to it.",
            (
                f"{_HIDDEN}it_is_told_of_by_its_mac_after_a_restart_of_the_agent",
                f"{_HIDDEN}what_tells_anything_else_is_another",
                f"{_HIDDEN}it_is_nobodys_record_where_its_mac_is_shown_elsewhere",
            ),
        ),
    ),
    "The cloud under load": (
        Point(
            "idle connections",
            "Two thousand of them at 1,024 open files: an operator is answered in less than a second. Who has waited "
            "longest makes room.",
            (
                f"{_LINES}two_thousand_idle_connections_and_1024_files_hold_up_no_operator",
                f"{_LINES}who_waits_longest_makes_room_and_who_is_being_answered_stays",
                f"{_LINES}who_never_begins_to_speak_tls_makes_room_too",
                f"{_LINES}who_is_unknown_and_keeps_back_a_body_makes_room_too",
                f"{_LINES}who_is_unknown_and_reads_no_answer_makes_room_too",
            ),
        ),
        Point(
            "heads and bodies that come byte by byte",
            "Have their time, then the connection is closed or 408 is the answer; a long poll is none of them.",
            (
                f"{_LINES}a_head_that_comes_byte_by_byte_is_not_waited_for",
                f"{_LINES}a_body_that_comes_byte_by_byte_is_not_waited_for",
                f"{_LINES}a_long_poll_is_no_idle_connection",
            ),
        ),
        Point(
            "a stolen token of an agent",
            "Adds at most the caps: miners of the farm and new ones a minute, tasks a day, events, calls at a time.",
            (
                f"{_GROWTH}a_stolen_token_makes_no_more_rows_than_all_its_caps",
                f"{_GROWTH}new_miners_are_so_many_a_minute_and_known_ones_go_on",
                f"{_GROWTH}a_farm_has_so_many_miners_whoever_tells_of_them",
                f"{_GROWTH}tasks_that_arise_on_site_are_so_many_a_day_and_the_others_come_later",
                f"{_LINES}an_agent_is_answered_a_few_calls_at_a_time",
            ),
        ),
        Point(
            "its ledger in the hands of whoever stole it",
            "Entries and announcements have a daily cap, nodes of another ledger theirs; forged, foreign and replayed entries change nothing.",
            (
                f"{_ENTRIES}a_token_cannot_fill_the_ledger_without_end",
                f"{_ENTRIES}forged_signatures_and_bytes_that_are_no_entry_are_invalid",
                f"{_ENTRIES}what_is_signed_and_not_of_this_node_or_ledger_is_invalid",
                f"{_ENTRIES}entries_of_another_agent_are_good_for_nobody_else",
                f"{_ENTRIES}entries_of_another_workspace_are_invalid",
                f"{_ENTRIES}a_fork_is_a_conflict",
                "tests/cloud/subscriptions/test_announced.py::test_an_agent_is_no_more_nodes_than_one_may_be",
            ),
        ),
        Point(
            "work that its site does not take",
            "Waits with its reason, in the answers and in dry runs; what was dispatched before is left alone.",
            (
                f"{_DISPATCH}an_unsubscribe_lets_what_runs_end_and_holds_the_next_until_it_is_taken_back",
                f"{_DISPATCH}what_may_not_be_split_waits_until_the_site_takes_so_much",
                f"{_DISPATCH}an_order_costs_no_more_than_it_may",
                f"{_DISPATCH}a_deprecated_class_of_work_goes_to_nobody",
                f"{_DISPATCH}a_dry_run_says_what_would_be_held",
                f"{_DISPATCH}a_long_poll_does_not_spin_on_work_that_is_held",
                "tests/cloud/subscriptions/test_races.py::test_no_stack_is_dispatched_outside_what_was_in_force_at_its_lease",
            ),
        ),
        Point(
            "prices as large as integers are",
            "Amounts are summed outside the database, and told as text.",
            (f"{_DISPATCH}prices_as_large_as_can_be_add_up",),
        ),
        Point(
            "any figure, any number of intervals",
            "From whoever stole a token: the farm's miners are listed, and what comes next is taken.",
            (
                f"{_MINERS}no_figure_of_an_agent_hides_the_miners_of_its_farm",
                f"{_MINERS}a_farm_may_have_miners_with_ever_so_many_intervals",
            ),
        ),
        Point(
            "a second `serve` on one folder",
            "Refused in one line.",
            (f"{_CLOUD}a_data_directory_is_served_by_one_process",),
        ),
        Point(
            "what is over",
            "Tasks, logs and batches go after 400 days of the cloud's own time; what is open stays.",
            (
                "tests/cloud/store/test_pruning.py::test_ended_tasks_go_after_400_days_with_their_events_logs_and_batches",
                "tests/cloud/store/test_pruning.py::test_a_clock_that_is_set_forward_removes_nothing",
                "tests/cloud/store/test_pruning.py::test_what_is_open_or_ends_only_now_stays_however_old_it_is",
            ),
        ),
        Point(
            "`miner-cloud.service`",
            "Says when it is ready, is watched, bounded in memory, and started again for ever.",
            (
                "tests/agent/host/test_systemd.py::test_each_is_watched_bounded_and_started_again_for_ever",
                f"{_CLOUD}systemd_hears_when_it_is_ready_that_it_lives_and_that_it_stops",
                "tests/cloud/test_watchdog.py::test_rounds_that_do_not_end_any_more_stop_the_feeding",
            ),
        ),
        Point(
            "databases and secrets",
            "0600 whatever the folder, also those of earlier versions.",
            (
                "tests/service/test_files.py::test_a_database_and_its_companions_are_their_owners_alone",
                "tests/service/test_files.py::test_one_that_others_could_read_is_shut_and_keeps_its_content",
                f"{_CLOUD}database_and_secrets_are_their_owners_alone_whatever_the_folder",
            ),
        ),
    ),
    "Mining programs of a rig": (
        Point(
            "a playbook's command line",
            "No shell reads it. Options are allowed one by one, by their full names and with the kind of their value; files, logs, "
            "other listeners than loopback's and what stands alone are refused by name, and nothing starts.",
            (
                f"{_JUDGED}what_is_not_allowed_is_refused_by_name",
                f"{_JUDGED}whatever_it_says_it_is_refused_or_holds_allowed_options_alone",
                f"{_JUDGED}a_password_that_is_refused_is_not_told",
                f"{_PROGRAMS}nothing_but_an_answer_that_says_so_ends_it",
            ),
        ),
        Point(
            "its variables",
            "Stay one word whatever they hold, and are judged like any other; one that is not known, or has no value, is refused.",
            (
                f"{_JUDGED}what_a_variable_holds_stays_one_word_and_is_judged_like_any_other",
                f"{_JUDGED}an_address_is_the_playbooks_else_the_rigs",
            ),
        ),
        Point(
            "its executable",
            "By name and version from `rig.toml`, with path and sha256; one that others may change is not started. What is executed is "
            "the descriptor that was hashed.",
            (
                f"{_JUDGED}another_program_or_version_is_refused_and_what_is_allowed_is_told",
                f"{_PROGRAMS}a_file_that_is_another_is_not_started",
                f"{_PROGRAMS}what_is_executed_is_what_was_checked",
            ),
        ),
        Point(
            "too many, too long",
            "16 playbooks, one for each program; 8 KiB and 128 words each; a request 512 KiB. Refused by name, nothing changes.",
            (
                f"{_PROGRAMS}two_for_one_program_and_too_many_change_nothing",
                f"{_CALLERS}ten_megabytes_cost_no_memory_and_are_refused_by_name",
            ),
        ),
        Point(
            "who calls",
            "Root, the service's user and those that `rig.toml` names, by the word of the kernel; 8 connections each. What is no "
            "request is refused.",
            (
                f"{_CALLERS}another_user_is_told_so_and_heard_no_further",
                f"{_CALLERS}its_file_is_for_its_user_and_group",
                f"{_CALLERS}one_user_has_no_more_than_a_few_connections",
                f"{_CALLERS}what_is_no_request_is_refused_and_the_rest_goes_on",
            ),
        ),
        Point(
            "a process whose pid was another's",
            "Is neither adopted nor ended: it is known by its start time and the host's boot, and held by its pidfd.",
            (f"{_RESTARTS}a_stranger_with_its_pid_is_neither_adopted_nor_ended",),
        ),
        Point(
            "a service that is killed",
            "Adopts what mines, in whichever instant it was killed, and though its state was lost; nothing is started twice.",
            (
                f"{_RESTARTS}a_killed_service_finds_its_program_again",
                f"{_RESTARTS}one_killed_between_begin_and_note_starts_nothing_twice",
                f"{_RESTARTS}what_runs_has_an_owner_though_the_state_is_lost",
                f"{_RESTARTS}what_was_to_end_ends_after_the_service_comes_back",
            ),
        ),
        Point(
            "what programs write",
            "A log is cut at its bound, and no file grows beyond another one, service or not; a full disk stops no mining.",
            (
                f"{_PROGRAMS}a_program_that_writes_without_end_fills_no_disk",
                f"{_PROGRAMS}a_disk_that_its_program_fills_stops_no_mining",
            ),
        ),
        Point(
            "a program that does not end, or dies again and again",
            "Is killed after the grace, with all that it began; is tried again later and later.",
            (
                f"{_PROGRAMS}what_does_not_listen_is_killed_with_all_that_it_began",
                f"{_PROGRAMS}one_that_dies_is_tried_again_and_says_so",
                f"{_PROGRAMS}the_pause_grows_and_is_never_twice_the_same",
            ),
        ),
    ),
    "First steps": (
        Point(
            "`act` at more addresses than one",
            "Ends with status 2 and the number of miners that are there, unless `--expect` has that number; nothing is sent.",
            (f"{_MANY}more_addresses_than_one_need_the_number_that_is_meant",),
        ),
        Point(
            "`act --csv`",
            "A cell that is no address, or begins like a formula, is named with its line, and nothing is done; at most 65,536 "
            "rows are taken.",
            (
                f"{_SHEET}what_is_no_address_is_refused_with_its_line_and_all_else_with_it",
                f"{_SHEET}a_million_rows_end_at_once",
            ),
        ),
        Point(
            "a package of another installation",
            "The command does not start: it names both places, before anything of either is loaded.",
            (
                "tests/service/test_start.py::test_a_start_with_a_package_of_another_installation_is_refused",
                "tests/service/test_start.py::test_what_lies_behind_ours_is_not_in_the_way",
            ),
        ),
        Point(
            "`install`",
            "Nothing is written over a package, a newer release or a file of another, from a checkout, from among the "
            "packages of the system, with a Python that services do not see or others can change, or on a disk without "
            "room; the message says which. What is installed loads nothing but itself.",
            (
                f"{_INSTALL}test_steps.py::test_what_a_package_brought_is_left_to_the_package_manager",
                f"{_INSTALL}test_steps.py::test_two_releases_stay_and_an_older_one_is_not_put_over_a_newer",
                f"{_INSTALL}test_steps.py::test_what_is_not_ours_is_left_in_its_place",
                f"{_INSTALL}test_steps.py::test_a_checkout_is_not_what_root_s_service_runs",
                f"{_INSTALL}test_steps.py::test_packages_of_the_system_are_no_environment",
                f"{_INSTALL}test_steps.py::test_a_python_that_services_do_not_see_is_refused",
                f"{_INSTALL}test_steps.py::test_a_python_that_others_can_change_is_refused",
                f"{_INSTALL}test_steps.py::test_a_disk_that_is_full_is_said_before_anything_is_written",
                f"{_INSTALL}test_release.py::test_its_commands_run_at_its_place_and_load_nothing_else",
            ),
        ),
        Point(
            "a wheel of a release",
            "A name that leads elsewhere, a link, what runs without its source or belongs into another folder, a file that "
            "another wheel has, too, or that is not what RECORD says, a library for another processor, an index or a release "
            "beyond all measure: nothing of it is installed.",
            (
                f"{_INSTALL}test_wheels.py::test_a_name_that_leads_elsewhere_is_refused",
                f"{_INSTALL}test_wheels.py::test_a_link_or_a_device_is_refused",
                f"{_INSTALL}test_wheels.py::test_a_file_that_is_encrypted_or_packed_in_another_way_is_refused",
                f"{_INSTALL}test_wheels.py::test_a_file_that_is_in_a_wheel_twice_is_refused",
                f"{_INSTALL}test_wheels.py::test_what_is_in_a_wheel_is_what_its_record_says",
                f"{_INSTALL}test_wheels.py::test_an_index_that_is_beyond_all_measure_is_not_read",
                f"{_INSTALL}test_wheels.py::test_an_archive_that_says_its_end_in_two_ways_is_refused",
                f"{_INSTALL}test_wheels.py::test_no_wheel_writes_where_another_one_did",
                f"{_INSTALL}test_wheels.py::test_what_expands_beyond_all_measure_is_refused_before_it_fills_the_disk",
                f"{_INSTALL}test_wheels.py::test_a_release_has_only_so_many_files",
                f"{_INSTALL}test_wheels.py::test_a_library_for_another_processor_is_refused",
                f"{_INSTALL}test_wheels.py::test_what_python_would_run_without_its_source_is_refused",
                f"{_INSTALL}test_wheels.py::test_a_file_for_another_folder_is_refused",
                f"{_INSTALL}test_wheels.py::test_whatever_is_changed_in_a_wheel_nothing_is_written_that_its_record_does_not_say",
            ),
        ),
        Point(
            "`enroll` as root",
            "The files belong to the owner of the state folder, and no link in it is followed.",
            (
                f"{_USER}root_enrolls_for_the_owner_of_the_state_folder",
                f"{_USER}root_follows_no_link_in_a_folder_of_another",
                f"{_USER}root_goes_no_way_that_another_user_laid",
                f"{_USER}a_folder_that_enrolling_makes_belongs_to_the_agent_too",
            ),
        ),
        Point(
            "`miner-cloud` as root",
            "What it makes belongs to the owner of the data directory, and no link in it is followed further than that user "
            "may go.",
            (
                f"{_OWNER}what_root_makes_belongs_to_the_owner_of_the_directory",
                f"{_OWNER}what_a_server_of_root_makes_belongs_to_the_owner_too",
                f"{_OWNER}root_follows_no_link_in_a_directory_of_another",
                f"{_OWNER}root_goes_no_way_that_another_user_laid",
                f"{_OWNER}an_owner_who_cannot_get_to_the_directory_is_said",
            ),
        ),
        Point(
            "a data directory",
            "Is made by `workspace create`, `migrate` and `serve` alone; a file in it that another user left is named, with what "
            "to run; one that is served names the process.",
            (
                f"{_CLOUD}a_directory_without_a_cloud_is_said_and_none_is_made",
                f"{_OWNER}a_file_that_root_left_is_named_with_its_owner_and_what_to_run",
                f"{_OWNER}a_directory_of_another_says_as_whom_to_run",
                f"{_CLOUD}a_data_directory_is_served_by_one_process",
            ),
        ),
        Point(
            "`--public-url`",
            "Has to be an address of the web; the log warns where links to files would begin with another.",
            (
                f"{_CLOUD}a_public_url_that_links_cannot_begin_with_is_refused",
                f"{_CLOUD}where_links_lead_is_warned_of_and_a_stop_is_in_the_log",
            ),
        ),
        Point(
            "`doctor`",
            "Checks as the user who will run (`--user`, or the folder's owner) and never ends in a traceback.",
            (
                f"{_USER}doctor_checks_what_the_agents_user_may_do",
                f"{_USER}only_root_may_check_for_another_user",
                f"{_USER}doctor_leaves_no_files_of_root_behind",
                f"{_USER}no_fault_of_a_check_ends_the_doctor",
                f"{_USER}whatever_lies_in_the_state_folder_is_told_in_words",
                f"{_USER}what_lies_in_the_state_folder_need_not_be_a_file_nor_its_name_text",
                f"{_CONFIG}a_file_that_is_no_toml_is_told_in_words",
                f"{_DOCTOR}an_answer_that_goes_nowhere_is_no_traceback",
            ),
        ),
        Point(
            "a state folder of another user",
            "Ends `run` and `enroll` before anything is begun, with the folder, its owner and the command that mends it; a "
            "disk that is full or read-only is waited for.",
            (
                f"{_FOLDER}a_state_folder_of_another_ends_the_daemon_before_anything_is_begun",
                f"{_FOLDER}a_file_of_another_in_it_ends_the_daemon_too_if_the_daemon_writes_it",
                f"{_FOLDER}a_folder_that_is_missing_is_no_trouble_where_it_can_be_made",
                f"{_FOLDER}a_disk_that_is_full_or_read_only_is_no_reason_not_to_start",
                "tests/agent/journal/test_disk.py::test_on_a_read_only_disk_the_agent_waits_and_goes_on_by_itself",
            ),
        ),
        Point(
            "a port that is taken",
            "Is told with the key, or the options, that name it.",
            (
                "tests/agent/host/test_metrics.py::test_a_port_that_is_taken_names_its_key",
                "tests/agent/cli/test_daemon.py::test_a_port_that_is_taken_ends_the_daemon_with_its_key",
                f"{_DOCTOR}a_metrics_port_that_is_taken_is_a_problem_unless_the_daemon_has_it",
                f"{_CLOUD}a_port_that_is_taken_is_said_in_one_line_with_exit_1",
            ),
        ),
        Point(
            "a range that is too large",
            "Is a problem to `doctor` as to the scan.",
            (
                f"{_DOCTOR}ranges_are_a_problem_to_the_doctor_as_to_the_scan",
                f"{_DOCTOR}a_range_of_the_cloud_that_no_scan_takes_is_told",
            ),
        ),
        Point(
            "a range with a name",
            "Two of one name, a name that is a range, holds a comma or a control character, are refused when the config "
            "is read or a cloud is told it; what is typed as a range is that one, whatever a cloud calls so; one of the "
            "cloud that may not be scanned here is left out, and told by `doctor`.",
            (
                "tests/agent/cli/test_scan.py::test_a_range_goes_by_its_name_in_the_config_or_in_the_cloud",
                "tests/cloud/assets/test_ranges.py::test_what_is_no_name_or_no_range_of_a_farm_is_refused",
                "tests/cloud/assets/test_ranges.py::test_a_name_is_given_once",
                f"{_CONFIG}a_mistake_is_named_with_its_key",
                "tests/agent/host/test_daemon.py::test_ranges_with_a_name_are_scanned_and_kept_for_the_command_line",
                f"{_DOCTOR}a_range_of_the_cloud_that_no_scan_takes_is_told",
            ),
        ),
        Point(
            "what no scan takes",
            "`0.0.0.0/0`, a public range, one that ends before it begins, IPv6 and what is no name of a range or a host "
            "are refused in words before anything is asked.",
            ("tests/agent/cli/test_scan.py::test_what_is_no_range_of_ours_is_refused_in_words",),
        ),
        Point(
            "what was kept of a cut scan",
            "It is taken up only by the same scan, within an hour, and where it is whole; else the scan begins anew.",
            (
                "tests/agent/scan/test_memory.py::test_a_cut_scan_is_not_taken_up_by_another",
                "tests/agent/scan/test_verdicts.py::test_what_was_kept_of_others_or_is_damaged_is_refused",
            ),
        ),
        Point(
            "hosts that accept and say nothing",
            "Each takes a place for 1.5 s, and holds up no miner of the scan.",
            (
                "tests/agent/scan/test_scanner.py::test_hosts_that_accept_and_say_nothing_hold_up_no_miner",
            ),
        ),
        Point(
            "words",
            "A value that is none is told in words of ours, by the config and by both commands.",
            (
                f"{_CONFIG}a_mistake_is_named_with_its_key",
                f"{_USAGE}wrong_usage_is_exit_2_with_a_sentence",
                f"{_CLOUD}wrong_usage_is_exit_2_in_words_of_ours",
            ),
        ),
        Point(
            "`--params @FILE` and `-`",
            "Keep a password out of the list of processes.",
            (
                f"{_USAGE}parameters_come_from_a_file_or_from_standard_input",
                f"{_USAGE}parameters_that_cannot_be_taken_are_refused_in_words",
            ),
        ),
        Point(
            "what stands for miners",
            "`scan`, `read` and `act` take names of hosts, `scan` also lists with commas; a slip in an address is no name.",
            (
                "tests/agent/cli/test_targets.py::test_ranges_may_stand_beside_each_other_or_with_commas_between",
                "tests/agent/cli/test_targets.py::test_one_miner_is_named_by_whatever_stands_for_one_address",
                "tests/agent/cli/test_targets.py::test_what_is_not_one_miner_is_refused_in_words",
                "tests/agent/cli/test_targets.py::test_a_slip_in_an_address_is_never_taken_for_a_name",
                "tests/agent/cli/test_targets.py::test_nor_is_a_slip_in_a_range",
            ),
        ),
    ),
    "Figures": (
        Point(
            "a hash rate that its boards contradict",
            "By a factor of more than 3 (IceRiver: 30): no rate, and the fault `rate_unit_doubtful` with both figures. One "
            "window of the whole that agrees is enough, for work begins and stops.",
            (
                f"{_READING}a_whole_that_its_boards_contradict_is_no_rate",
                f"{_READING}boards_that_do_not_contradict_change_nothing",
                f"{_READING}work_that_begins_or_stops_is_no_wrong_unit",
                f"{_READING}boards_that_died_leave_their_mean_behind",
                "tests/drivers/whatsminer/test_reading3.py::test_boards_that_do_not_tell_may_do_as_much_as_the_others",
                f"{_OF_READING}[boards_count_otherwise_than_the_whole]",
                f"{_OF_WHATSMINER}[boards_by_4028_a_thousand_times_too_high]",
                f"{_OF_WHATSMINER}[boards_in_terahash_a_thousand_times_too_high]",
                f"{_OF_WHATSMINER}[boards_by_v3_a_thousand_times_too_low]",
                f"{_OF_WHATSMINER}[windows_differ_while_it_ramps_up]",
                f"{_OF_ICERIVER}[boards_a_thousand_times_too_high]",
            ),
        ),
        Point(
            "a miner whose rate is in doubt",
            "Counts as hashing: it is not rebooted without force, and not believed to sleep.",
            (
                f"{_OF_READING}[a_rate_in_doubt_is_a_rate]",
                "tests/drivers/whatsminer/test_reboot.py::test_a_rate_that_its_boards_contradict_is_not_taken_for_rest",
                "tests/drivers/iceriver/test_reboot.py::test_a_rate_that_its_boards_contradict_is_not_taken_for_rest",
                "tests/contract/test_miner.py::test_a_rate_in_doubt_is_no_rate_and_yet_hashing",
            ),
        ),
        Point(
            "figures of an L9 or L11 without a unit",
            "Count in the unit that the same figure has in text.",
            (
                f"{_OF_READING}[bare_figures_count_as_their_texts]",
                f"{_READING}a_bare_figure_counts_in_the_unit_that_the_same_has_in_text",
            ),
        ),
        Point(
            "watts, serial and coolant in other places",
            "Are read where newer firmware keeps them; 0 W of a meter is none.",
            (
                f"{_OF_REPLIES}[watts_in_the_newer_stats]",
                f"{_OF_REPLIES}[a_meter_that_stands_at_zero]",
                f"{_OF_REPLIES}[a_serial_under_its_other_name]",
                f"{_OF_WHATSMINER}[coolant_only_by_the_supply]",
                f"{_OF_WHATSMINER}[rejected_by_its_other_name]",
                f"{_OF_WHATSMINER}[the_power_limit_of_one_without_a_summary]",
                f"{_OF_WHATSMINER}[a_miner_that_heats]",
            ),
        ),
        Point(
            "a power limit, and the share of its power that it leaves a miner",
            "Less is expected of one that is limited on purpose. A limit above what it draws, or one that can be none, is no "
            "limit; one that hashes little and draws little is broken, not limited.",
            (
                f"{_LIMITED}a_limit_in_watts_is_a_share_and_no_low_rate",
                f"{_LIMITED}a_percentage_is_a_share_and_no_low_rate_until_it_is_lost",
                f"{_LIMITED}one_that_was_limited_before_it_was_ever_seen_is_not_broken",
                f"{_LIMITED}a_limit_above_what_it_draws_is_none",
                f"{_LIMITED}what_can_be_no_limit_is_none",
                "tests/contract/condition/test_judgement.py::test_a_share_that_can_be_none_limits_nothing",
            ),
        ),
        Point(
            "replies recorded from real devices",
            "Are understood as before.",
            (
                "tests/recorded/test_antminer.py::test_every_recording_has_an_expectation",
                "tests/recorded/test_whatsminer.py::test_every_recording_has_an_expectation",
                "tests/recorded/test_iceriver.py::test_every_recording_has_an_expectation",
            ),
        ),
    ),
    "Makes and their firmware": (
        Point(
            "Chipless and mskminer",
            "Known by name and only read; neither is told a password.",
            (
                f"{_OF_REPLIES}[another_firmware_names_itself_in_its_date]",
                f"{_OF_REPLIES}[a_whole_in_sol_beside_boards_in_ksol]",
                f"{_OF_REPLIES}[rwglr_is_not_hiveons_alone]",
                "tests/drivers/test_registry.py::test_foreign_firmware_is_named_and_only_read_and_told_no_secret",
                "tests/drivers/antminer/test_read.py::test_a_miner_reflashed_where_it_stands_hears_no_password_either",
            ),
        ),
        Point(
            "a mode that is a number",
            "Is a mode on the maker's own firmware only.",
            (
                f"{_OF_REPLIES}[a_constant_mode_of_another_firmware]",
                "tests/drivers/iceriver/test_codecs.py::test_on_other_firmware_a_mode_is_a_word",
            ),
        ),
        Point(
            "the WhatsMiner M3 of 2018",
            "Found and read; a reply too long for one recogniser hides nothing from the others.",
            (
                f"{_OF_WHATSMINER}[an_m3_names_neither_itself_nor_its_supply]",
                f"{_OF_WHATSMINER}[a_reply_too_long_for_one_recogniser_is_no_answer_for_the_others]",
                "tests/simulator/whatsminer/test_reads.py::test_the_m3_of_2018_tells_little_and_that_at_length",
            ),
        ),
        Point(
            "pools of an AntMiner after a 400",
            "Are sent once more with the mode as text; to give three is said only where fewer were given.",
            (
                f"{_OF_ORDERS}[pools_with_a_number_are_a_bad_request]",
                "tests/drivers/antminer/test_pools.py::test_a_firmware_that_refuses_numbers_gets_its_pools_with_the_mode_as_text",
                "tests/drivers/antminer/test_pools.py::test_who_gave_three_pools_is_not_told_to_give_three",
            ),
        ),
        Point(
            "`protection_stop`",
            "Is said only where a mode was read, or where the model cannot sleep.",
            (
                f"{_OF_READING}[all_chips_off_and_no_mode_told]",
                f"{_OF_READING}[a_protection_stop_of_what_cannot_sleep]",
                f"{_OF_READING}[a_protection_stop_is_no_sleep]",
            ),
        ),
        Point(
            "a miner that woke and does not hash",
            "The reason says what it shows: no power on its chips, no board, no pool, another mode.",
            (
                "tests/drivers/antminer/test_mode.py::test_what_is_said_of_a_miner_that_wakes_and_does_not_hash_is_what_it_shows",
                "tests/drivers/antminer/test_mode.py::test_what_is_said_of_a_miner_that_does_not_wake",
                "tests/drivers/iceriver/test_mode.py::test_what_is_said_of_a_miner_that_woke_is_what_its_rate_shows",
            ),
        ),
        Point(
            "models of late",
            "S21++, S21 Pro+, S21j XP Hyd., S23 Hyd., L11, DR5, Z15 and KS5 Pro are known, M63S++ in either spelling. A "
            "model that only the system information names is read by that name.",
            (
                f"{_READING}models_of_late_are_known",
                f"{_OF_REPLIES}[a_model_that_only_its_system_information_names]",
                "tests/drivers/whatsminer/test_faults.py::test_two_spellings_of_a_model_are_one",
            ),
        ),
    ),
    "Task subscriptions": (
        Point(
            "a key that is missing, unknown or given twice; a value of another kind or out of bounds",
            "422 that names each key, with the nearest known one; nothing is signed, nothing stored.",
            (
                f"{_CALLS}a_field_that_is_wrong_is_named",
                f"{_CALLS}missing_fields_are_named",
                f"{_CALLS}what_is_no_call_is_refused",
            ),
        ),
        Point(
            "a body that is no JSON, another kind of content, too large, or does not come",
            "400, 415, 413, 408, as JSON.",
            (
                f"{_CALLS}what_is_no_call_is_refused",
                f"{_CALLS}a_body_in_pieces_without_end_is_cut",
                f"{_CALLS}a_body_that_does_not_come_is_not_waited_for",
                f"{_CALLS}what_is_not_http_is_refused_in_json",
            ),
        ),
        Point(
            "another node, or two that disagree",
            "422.",
            (
                f"{_CALLS}nodes_that_are_not_ours_or_disagree_are_refused",
                f"{_LEDGER}another_node_than_this_agents_is_refused",
            ),
        ),
        Point(
            "a web page in a browser of the host, a name that was made to point there",
            "403, whatever it asks for.",
            (f"{_CALLS}a_web_page_may_not_call_by_way_of_a_browser_here",),
        ),
        Point(
            "listening elsewhere than on loopback",
            "Only with a token, and with TLS or a proxy; the config is refused otherwise. Without the token: 401.",
            (
                f"{_CONFIG}a_mistake_is_named_with_its_key",
                f"{_CONFIG}subscriptions_may_be_served_elsewhere_with_a_token_and_tls",
                f"{_CALLS}a_token_is_asked_for_where_one_is_set",
            ),
        ),
        Point(
            "many connections, and those that say nothing",
            "32 at most; one that does not send a head within 15 s goes.",
            (f"{_CALLS}as_many_connections_as_may_are_taken_and_idle_ones_go",),
        ),
        Point(
            "an answer of the ledger that gets lost, a process that is killed",
            "The entry is on disk before it is sent, and settled before anything else is signed: it was taken, or never will be.",
            (
                f"{_LEDGER}an_answer_that_is_lost_is_settled_as_what_the_cloud_holds",
                f"{_LEDGER}what_never_arrived_is_a_failure_for_ever_even_if_it_comes_later",
                "tests/agent/subscriptions/test_killed.py::test_a_submission_killed_at_any_step_ends_right",
                "tests/agent/subscriptions/test_interleavings.py::test_both_sides_come_to_one_chain",
            ),
        ),
        Point(
            "a cloud or an agent that is put back from a copy, a copied disk",
            "What is missing is sent again or learned; two chains of one key are a fork, which signs nothing until there is a new key.",
            (
                f"{_LEDGER}a_cloud_that_was_put_back_is_sent_what_it_lost",
                f"{_LEDGER}an_agent_that_was_put_back_learns_what_it_signed_later",
                f"{_LEDGER}two_memories_that_went_different_ways_are_a_fork_with_a_way_out",
                f"{_LEDGER}entries_that_our_key_never_signed_are_not_learned",
                f"{_LEDGER}an_agent_of_another_workspace_signs_nothing_there",
            ),
        ),
        Point(
            "a key that others can read, or that is none",
            "Nothing is signed; 500 names the file and the fix.",
            (f"{_LEDGER}a_key_that_cannot_be_used_signs_nothing",),
        ),
        Point(
            "a disk that is full, read-only or damaged",
            "Nothing is sent that could not be kept; a damaged file is kept beside, and what was taken is learned again.",
            (
                "tests/agent/subscriptions/test_disk.py::test_what_a_disk_cannot_keep_is_said",
                "tests/agent/subscriptions/test_store.py::test_a_damaged_file_is_set_aside",
                f"{_LEDGER}a_lost_database_is_learned_again",
            ),
        ),
    ),
}
