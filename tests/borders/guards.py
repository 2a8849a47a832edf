"""The guards of the borders: what is refused, bounded or disbelieved in one place of the code, how that place is switched
off, and the test that must fail without it.

Guards of a single make's quirks are not here: each is a row of a table in `tests/drivers`, switched off in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Guard(NamedTuple):
    """`code` stands once in `file`; with `off` in its place `test` fails."""

    name: str
    file: str
    code: str
    off: str
    test: str  # a node id of pytest


def _parameters() -> Iterator[Guard]:
    test = "tests/contract/test_task.py::test_"
    yield Guard(
        "a parameter that is not known is refused",
        "contract/task.py",
        'extra="forbid", frozen=True, strict',
        'extra="ignore", frozen=True, strict',
        f"{test}a_key_that_is_not_known_is_refused_by_name",
    )
    yield Guard(
        "a log is asked for with a free object",
        "contract/task.py",
        'model_config = ConfigDict(extra="ignore")',
        "pass",
        f"{test}a_log_is_asked_for_with_a_free_object_of_which_nothing_is_kept",
    )
    yield Guard(
        "the comment beside tags is not kept",
        "contract/task.py",
        "default=None, exclude=True",
        "default=None",
        f"{test}nonce_takes_a_comment_beside_tags_and_does_nothing_with_it",
    )
    yield Guard(
        "stars are never taken for a password",
        "contract/task.py",
        "if name in WITH_PASSWORDS else ()",
        "if False else ()",
        f"{test}bad_parameters_are_refused_by_name",
    )
    yield Guard(
        "a pool needs a user",
        "contract/task.py",
        "AfterValidator(not_blank), AfterValidator(plain)",
        "AfterValidator(plain)",
        f"{test}bad_parameters_are_refused_by_name",
    )
    yield Guard(
        "the scheme of a pool is one that miners know",
        "contract/texts.py",
        "if scheme[1].lower() not in schemes:",
        "if False:",
        f"{test}bad_parameters_are_refused_by_name",
    )
    yield Guard(
        "a port of none is no port",
        "contract/texts.py",
        'port == 0 or parts.netloc.endswith(":")',
        "port == 0",
        f"{test}bad_parameters_are_refused_by_name",
    )
    yield Guard(
        "a pool has a host that can be one",
        "contract/texts.py",
        "not is_ipv6 and not _NAME.fullmatch(host)",
        "False",
        f"{test}bad_parameters_are_refused_by_name",
    )
    yield Guard(
        "a text holds no control characters",
        "contract/texts.py",
        "if any(unicodedata",
        "if False and any(unicodedata",
        f"{test}bad_parameters_are_refused_by_name",
    )
    yield Guard(
        "one fault is one message",
        "contract/words.py",
        "if _is_echo(each, found, model):",
        "if False:",
        f"{test}each_problem_has_its_sentence",
    )
    yield Guard(
        "not more faults than a person reads",
        "contract/words.py",
        "[:FAULTS_MAX]\n",
        "\n",
        f"{test}however_many_keys_are_wrong_the_first_are_told",
    )
    yield Guard(
        "the nearest known key is named",
        "contract/keys.py",
        "near = nearest(key, names)",
        "near = None",
        f"{test}beside_a_key_that_is_not_known_stands_the_nearest_one_and_nothing_else",
    )
    yield Guard(
        "a key of somebody else's is shown without what a terminal obeys",
        "contract/keys.py",
        "return cut if cut.isprintable() else ascii(cut)[1:-1]",
        "return cut",
        f"{test}beside_a_key_that_is_not_known_stands_the_nearest_one_and_nothing_else",
    )
    yield Guard(
        "a url that is refused is quoted without its password",
        "contract/hiding.py",
        '_BEFORE_AT.sub(rf"\\1{MASK}@", text)',
        "text",
        f"{test}a_url_that_is_refused_is_not_quoted_with_its_password",
    )
    yield Guard(
        "a pool of a reading is shown without the password in its url",
        "contract/miner.py",
        'if "@" in self.url:',
        "if False:",
        "tests/contract/test_hiding.py::test_a_reading_never_holds_the_password_of_a_pools_url",
    )
    yield Guard(
        "the evidence of a change of pools shows no password",
        "drivers/antminer/changes/pools.py",
        "_bare(masked_url(slot.url))",
        "_bare(slot.url)",
        "tests/drivers/makes/test_pools.py::test_a_password_inside_a_url_reaches_the_miner_and_is_not_shown",
    )
    yield Guard(
        "three slots are asked for only where fewer were given",
        "drivers/antminer/changes/pools.py",
        "if all(slot.url for slot in slots):",
        "if False:",
        "tests/drivers/antminer/test_pools.py::test_who_gave_three_pools_is_not_told_to_give_three",
    )


def _nonce() -> Iterator[Guard]:
    test = "tests/cloud/nonce/test_borders.py::test_"
    yield Guard(
        "a query parameter that is not known is refused",
        "cloud/nonce/requests.py",
        "            if faults:\n",
        "            if False:\n",
        f"{test}no_call_takes_a_query_parameter_that_it_does_not_know",
    )
    yield Guard(
        "a value told twice is refused",
        "cloud/nonce/requests.py",
        "if len(request.query.getall(name, ())) > 1",
        "if False",
        f"{test}a_filter_of_a_list_that_is_not_known_is_refused_with_the_one_that_is_meant",
    )
    yield Guard(
        "a key in the body of CreateTaskBatch that is not known is refused",
        "contract/nonce/batches.py",
        'class CreateBatch(BaseModel):\n    """The body of CreateTaskBatch; `params` is checked by `contract.task.'
        'parse_params`. The last five are ours."""\n\n    model_config = ConfigDict(extra="forbid"',
        'class CreateBatch(BaseModel):\n    model_config = ConfigDict(extra="ignore"',
        f"{test}a_key_of_a_body_that_is_not_known_is_one_message_with_the_one_that_is_meant",
    )
    yield Guard(
        "a cancel takes no keys",
        "cloud/nonce/batches.py",
        "    await read_body(request, NoBody, may_be_empty=True)\n",
        "",
        f"{test}a_key_of_a_body_that_is_not_known_is_one_message_with_the_one_that_is_meant",
    )
    yield Guard(
        "miners are named where the task takes them",
        "cloud/nonce/batches.py",
        "faults = _misplaced(name, body)",
        "faults = []",
        f"{test}a_key_of_a_body_that_is_not_known_is_one_message_with_the_one_that_is_meant",
    )
    yield Guard(
        "a batch of racks can be made again",
        "cloud/nonce/batches.py",
        'if key != "updates"',
        "",
        f"{test}that_maintenance_is_no_hindrance_can_be_said_of_every_task",
    )
    yield Guard(
        "parameters are shown without passwords",
        "cloud/nonce/tasks.py",
        "return hidden(params) if params else None",
        "return params or None",
        f"{test}a_password_is_hidden_in_params_url_result_and_log",
    )
    yield Guard(
        "results are shown without passwords",
        "cloud/nonce/tasks.py",
        "return hidden(result) or UNSET",
        "return result or UNSET",
        f"{test}a_password_is_hidden_in_params_url_result_and_log",
    )


def _rights() -> Iterator[Guard]:
    test = "tests/cloud/test_roles.py::test_"
    yield Guard(
        "what nobody declared is for managers",
        "cloud/http/rights.py",
        "declared(handler) or Role.MANAGER",
        "declared(handler) or Role.VIEWER",
        f"{test}what_nobody_declared_is_for_managers",
    )
    yield Guard(
        "a key calls what its role reaches",
        "cloud/http/auth.py",
        "    if resource is not None and (\n",
        "    if False and resource is not None and (\n",
        f"{test}each_role_reaches_the_endpoints_that_are_declared_for_it",
    )
    yield Guard(
        "a key gives the tasks that its role reaches",
        "cloud/nonce/creation.py",
        "        check_task(request, each.request.name, each.request.params)\n",
        "",
        f"{test}each_role_reaches_the_tasks_that_are_declared_for_it",
    )
    yield Guard(
        "the audit keeps no password",
        "cloud/store/access/audit.py",
        "hidden(dict(value))",
        "dict(value)",
        "tests/cloud/test_audit.py::test_no_password_is_ever_in_it",
    )
    yield Guard(
        "the audit is not swept by a clock on the wall",
        "cloud/store/access/audit.py",
        "            audit.c.recorded_cloud_s < cloud_s - kept_days * _DAY_S,\n",
        "",
        "tests/cloud/test_audit.py::test_it_is_kept_as_long_as_tasks_whatever_the_clock_on_the_wall_says",
    )
    test = "tests/cloud/test_maintenance.py::test_"
    yield Guard(
        "a miner in maintenance gets no task that writes",
        "cloud/nonce/planning.py",
        "    if _is_kept_from(request, row):\n",
        "    if False:\n",
        f"{test}what_would_write_to_it_is_skipped_with_the_reason",
    )
    yield Guard(
        "maintenance calls off what waits",
        "cloud/store/miners/maintenance.py",
        "    for some in chunks(begun):\n",
        "    for some in chunks(begun[:0]):\n",
        f"{test}what_waits_for_an_agent_ends_when_maintenance_begins",
    )
    yield Guard(
        "maintenance holds for what is wished for on site",
        "agent/tasks/gate.py",
        "if miner.maintenance or self.maintenance.holds(miner):",
        "if miner.maintenance:",
        "tests/agent/tasks/test_dispatcher_leave.py::"
        "test_what_the_cloud_told_of_maintenance_holds_for_every_task_and_without_it",
    )
    yield Guard(
        "wishes for a miner in maintenance wait",
        "agent/sinks/rigmonitor/switches.py",
        "        if self._tasks.in_maintenance(ref):\n",
        "        if False:\n",
        "tests/agent/rigmonitor/test_switches.py::test_a_wish_for_a_miner_in_maintenance_waits_until_that_has_ended",
    )


def _passwords() -> Iterator[Guard]:
    borders = "tests/cloud/nonce/test_borders.py::test_"
    reports = "tests/cloud/link/test_reports.py::test_"
    yield Guard(
        "a cancel ends a task without its passwords",
        "cloud/store/tasks/batches.py",
        "    await forget_passwords(",
        "    0 and await forget_passwords(",
        f"{borders}the_passwords_of_a_task_leave_the_database_with_its_end",
    )
    yield Guard(
        "a report ends a task without its passwords",
        "cloud/store/tasks/reports.py",
        "        await forget_passwords(connection, ended)",
        "        pass",
        f"{reports}the_passwords_of_a_task_leave_the_database_however_it_ends",
    )
    yield Guard(
        "a result is stored without passwords",
        "cloud/store/tasks/reports.py",
        "    result = hidden(result)\n",
        "",
        f"{reports}the_passwords_of_a_task_leave_the_database_however_it_ends",
    )
    yield Guard(
        "the cloud ends a task without its passwords",
        "cloud/store/tasks/settle.py",
        "    await forget_passwords(connection, task_ids)",
        "",
        f"{reports}the_passwords_of_a_task_leave_the_database_however_it_ends",
    )
    yield Guard(
        "a batch keeps its passwords while one of its tasks is open",
        "cloud/store/tasks/settle.py",
        ", ~still_open",
        "",
        f"{borders}the_passwords_of_a_task_leave_the_database_with_its_end",
    )
    yield Guard(
        "a batch of an earlier version keeps them as long",
        "cloud/store/schema/migrations/versions/r0006_passwords.py",
        ", ~still_open",
        ", sa.true()",
        "tests/cloud/store/test_migration_of_passwords.py::test_passwords_of_what_has_ended_leave_the_database_and_others_stay",
    )
    yield Guard(
        "what an agent tells of a task may come from a newer version",
        "cloud/store/tasks/onsite.py",
        "parse_reported_params(arose.name",
        '__import__("contract.task").task.parse_params(arose.name',
        "tests/cloud/link/test_onsite.py::test_parameters_are_kept_in_the_apis_names_and_unknown_ones_not_at_all",
    )
    yield Guard(
        "an agent tells of a task of the site without passwords",
        "agent/journal/outbox.py",
        "params=hidden(",
        "params=(",
        "tests/agent/journal/test_site.py::test_what_is_told_of_a_task_of_the_site_has_no_password",
    )
    yield Guard(
        "the journal forgets passwords with the outcome",
        "agent/journal/steps.py",
        "dump(hidden(record.params))",
        "dump(record.params)",
        "tests/agent/journal/test_steps.py::test_passwords_are_forgotten_with_the_outcome",
    )
    yield Guard(
        "what an older version began and this one refuses is unknown",
        "agent/tasks/dispatcher.py",
        "outcome=Outcome.UNKNOWN if begun else Outcome.NOT_DONE",
        "outcome=Outcome.NOT_DONE",
        "tests/agent/tasks/test_dispatcher_recovery.py::test_what_an_older_version_took_and_this_one_refuses_is_unknown_once_it_was_begun",
    )


def _firmware() -> Iterator[Guard]:
    servers = "tests/agent/firmware/test_servers.py::test_"
    reach = "tests/agent/firmware/test_download_reach.py::test_"
    yield Guard(
        "metadata services are never fetched from",
        "agent/firmware/servers.py",
        "if is_never_asked(address):",
        "if False:",
        f"{servers}metadata_services_are_never_fetched_from",
    )
    yield Guard(
        "no setting is said to allow a metadata service",
        "agent/firmware/download.py",
        "if literal is not None and is_never_asked(literal):",
        "if False:",
        f"{reach}what_no_setting_allows_is_not_said_to_be_allowed_by_one",
    )
    yield Guard(
        "addresses within addresses count",
        "agent/firmware/servers.py",
        "parts = (address, *_embedded(address))",
        "parts = (address,)",
        f"{servers}what_is_not_public_is_not_fetched_from_in_whatever_form",
    )
    yield Guard(
        "the cloud itself may be fetched from",
        "agent/firmware/servers.py",
        "origin(url) == self._cloud or ",
        "",
        f"{servers}the_cloud_itself_is_fetched_from_wherever_it_stands",
    )
    yield Guard(
        "the cloud is scheme, host and port",
        "agent/firmware/servers.py",
        "origin(url) == self._cloud or ",
        'url.host == "cloud.lan" or ',
        f"{servers}the_cloud_itself_is_fetched_from_wherever_it_stands",
    )
    yield Guard(
        "a neighbour of this host is no public server",
        "agent/firmware/servers.py",
        " and not any(address in each for each in self._local())",
        "",
        f"{servers}a_neighbour_with_a_public_number_is_no_public_server",
    )
    yield Guard(
        "IPv4 written as IPv6 is IPv4",
        "agent/firmware/servers.py",
        "        address = plain(address)\n        parts",
        "        parts",
        f"{servers}a_private_address_is_fetched_from_only_where_the_config_names_it",
    )
    yield Guard(
        "multicast and reserved addresses are not public",
        "agent/firmware/servers.py",
        "not address.is_multicast and not address.is_reserved",
        "True",
        f"{servers}what_is_not_public_is_not_fetched_from_in_whatever_form",
    )
    yield Guard(
        "of IPv6 only what is routed is public",
        "agent/firmware/servers.py",
        "address in _GLOBAL_IPV6 and address.sixtofour is None",
        "address.sixtofour is None",
        f"{servers}what_is_not_public_is_not_fetched_from_in_whatever_form",
    )
    yield Guard(
        "each address is asked about",
        "agent/firmware/download.py",
        "if self._servers.may_give(each, url)",
        "if True",
        f"{reach}no_spelling_of_this_host_is_connected_to",
    )
    yield Guard(
        "of several addresses those that may not be are left out",
        "agent/firmware/download.py",
        "if self._servers.may_give(each, url)",
        "if len(found) > 1 or self._servers.may_give(each, url)",
        f"{reach}of_several_addresses_only_those_allowed_are_connected_to",
    )
    yield Guard(
        "the address that was checked is connected to",
        "agent/firmware/download.py",
        "url.with_host(str(address))",
        "url",
        f"{reach}a_name_is_connected_to_at_the_address_that_was_checked",
    )
    yield Guard(
        "a certificate has to be of the name",
        "agent/firmware/download.py",
        'server_hostname=None if _literal(url) else (url.raw_host or "").rstrip(".")',
        "server_hostname=None",
        f"{reach}https_is_verified_by_the_name_and_connected_to_by_the_address",
    )
    yield Guard(
        "the dot at the end of a name is in no certificate",
        "agent/firmware/download.py",
        '(url.raw_host or "").rstrip(".")',
        '(url.raw_host or "")',
        f"{reach}https_is_verified_by_the_name_and_connected_to_by_the_address",
    )
    yield Guard(
        "a server is asked by its name",
        "agent/firmware/download.py",
        '"Host": url.host_port_subcomponent or "",',
        "",
        f"{reach}a_name_is_connected_to_at_the_address_that_was_checked",
    )
    yield Guard(
        "a password of the url goes to no other server",
        "agent/firmware/download.py",
        "and origin(following) == origin(url)",
        "",
        f"{reach}a_password_of_the_url_goes_to_no_other_server",
    )
    yield Guard(
        "a password of the url is used again on the same server",
        "agent/firmware/download.py",
        "if url.raw_user and not",
        "if False and not",
        f"{reach}a_password_of_the_url_goes_to_no_other_server",
    )
    yield Guard(
        "an error tells nothing of what answered",
        "agent/firmware/download.py",
        "is not given by its server: is",
        "is not given by its server ({response.status}): is",
        f"{reach}an_error_is_the_same_whatever_the_server_said",
    )


def _certificates() -> Iterator[Guard]:
    known = "tests/agent/link/test_known_cloud.py::test_"
    folder = "tests/cloud/tls/test_folder.py::test_"
    yield Guard(
        "a fingerprint is compared",
        "contract/enrolment/authorities.py",
        "if hmac.compare_digest(fingerprint(each), wanted):",
        "if True:",
        f"{known}somebody_between_with_an_authority_of_their_own_learns_no_code",
    )
    yield Guard(
        "a code is sent by a proven connection",
        "agent/link/enroll.py",
        "else trusting(authority)",
        "else client.blind()",
        f"{known}nor_does_one_that_passes_the_right_authority_on_and_shows_the_right_name",
    )
    yield Guard(
        "half a fingerprint is none",
        "contract/enrolment/code.py",
        "if not _FINGERPRINT.fullmatch(print_.lower()):",
        "if False:",
        f"{known}a_code_with_half_a_fingerprint_is_no_code_without_one",
    )
    yield Guard(
        "a code of a cloud with TLS is for https",
        "agent/link/enroll.py",
        'if not url.startswith("https://"):',
        "if False:",
        f"{known}a_server_without_tls_is_not_told_the_code",
    )
    yield Guard(
        "an answer that nothing proves is short",
        "agent/link/client.py",
        "            cap=_UNPROVEN_CAP,\n",
        "",
        f"{known}what_is_no_answer_about_authorities_is_refused_and_no_code_is_sent",
    )
    yield Guard(
        "a file that was named holds the authority of the code",
        "agent/link/enroll.py",
        "    if of_fingerprint(held, wanted) is None:",
        "    if False:",
        f"{known}a_file_that_was_named_has_to_hold_the_authority_of_the_code",
    )
    yield Guard(
        "no pin is left of another cloud",
        "agent/link/enroll.py",
        "pin_file.unlink(missing_ok=True)",
        "pass",
        f"{known}a_code_without_fingerprint_trusts_whom_this_host_trusts_and_leaves_no_pin",
    )
    yield Guard(
        "an authority is tried before it is kept",
        "agent/link/client.py",
        ", Authorities, context=proven)",
        ", Authorities)",
        f"{known}what_the_cloud_does_not_show_itself_is_not_followed",
    )
    yield Guard(
        "what the config names is not written",
        "agent/link/trust.py",
        "return not self._is_pinned or not told or",
        "return not told or",
        f"{known}a_file_of_the_config_is_never_written",
    )
    yield Guard(
        "a pin is of one server",
        "agent/firmware/download.py",
        "if self._pin is None or origin(url) != origin(URL(self._pin[0])):",
        "if self._pin is None:",
        f"{known}firmware_from_the_cloud_itself_is_fetched_by_its_pin_and_none_from_others",
    )
    yield Guard(
        "a monitor elsewhere is not known by the cloud's authority",
        "agent/config/file.py",
        "return self.cloud_ca if origin(URL(url)) == origin(URL(cloud)) else None",
        "return self.cloud_ca",
        f"{known}a_monitor_that_is_the_cloud_is_known_as_the_cloud",
    )
    yield Guard(
        "a name of a certificate can be one",
        "cloud/tls/certificates.py",
        "or labels[-1].isdecimal()",
        "",
        f"{folder}what_is_no_name_of_a_host_is_refused",
    )
    yield Guard(
        "a certificate has so many names",
        "cloud/tls/folder.py",
        "if len(every) > NAMES_MOST:",
        "if False:",
        f"{folder}more_names_than_a_certificate_holds_are_refused",
    )
    yield Guard(
        "a key is beside its own certificate",
        "cloud/tls/folder.py",
        "or not belongs(key, held[0])",
        "",
        f"{folder}a_key_beside_the_certificate_of_another_is_not_taken",
    )
    yield Guard(
        "a clock that was set back shortens no certificate",
        "cloud/tls/folder.py",
        "return max(now, shown.made_at)",
        "return now",
        f"{folder}a_clock_that_was_set_back_since_makes_none_that_ends_earlier",
    )
    yield Guard(
        "keys of certificates are shut",
        "cloud/tls/folder.py",
        "                shut(self.root / each)",
        "                pass",
        f"{folder}a_key_that_became_readable_is_shut_again",
    )
    yield Guard(
        "one authority takes over at a time",
        "cloud/tls/folder.py",
        "if old.former is not None:",
        "if False:",
        f"{folder}one_takes_over_at_a_time",
    )
    yield Guard(
        "no agent is left behind unasked",
        "cloud/cli/host/tls.py",
        "if finish and not leave_behind and (away := _away(data)):",
        "if finish and not leave_behind and not (away := _away(data)) and away:",
        "tests/cloud/tls/test_commands.py::test_the_former_authority_is_trusted_until_every_agent_was_online_since",
    )
    yield Guard(
        "a beginning that was not finished is no plain http",
        "cloud/tls/public.py",
        "for each in (AUTHORITY, SERVER))",
        "for each in (SERVER,))",
        "tests/cloud/tls/test_commands.py::test_a_beginning_that_was_not_finished_is_no_plain_http",
    )
    yield Guard(
        "what is damaged while it runs is not shown",
        "cloud/tls/keeper.py",
        '        except TlsError as error:\n            log.error("tls.unusable"',
        '        except ZeroDivisionError as error:\n            log.error("tls.unusable"',
        "tests/cloud/tls/test_keeper.py::test_what_is_damaged_while_it_runs_takes_nothing_away",
    )


def _revocation() -> Iterator[Guard]:
    test = "tests/cloud/test_revocation.py::test_"
    admin, agents = "cloud/store/access/admin.py", "cloud/store/access/agents.py"
    yield Guard(
        "a code of before brings no revoked agent back",
        admin,
        "        if table is agents:",
        "        if False:",
        f"{test}an_agent_that_is_revoked_does_not_come_back_by_a_code_of_before",
    )
    yield Guard(
        "codes of a farm end with it",
        admin,
        "        await end_codes(connection, now, farm_id=farm_id)\n",
        "",
        f"{test}nobody_joins_a_farm_in_the_archive",
    )
    yield Guard(
        "a farm in the archive is given no code",
        admin,
        '        if farm["archived"]:',
        "        if False:",
        f"{test}nobody_joins_a_farm_in_the_archive",
    )
    yield Guard(
        "a code of a revoked workspace is none",
        agents,
        "enroll_codes.c.expires_at > now,\n                        workspaces.c.revoked_at.is_(None),",
        "enroll_codes.c.expires_at > now,",
        f"{test}nobody_joins_a_workspace_that_is_revoked",
    )
    yield Guard(
        "a revoked machine gets no other code",
        "cloud/store/miners/rig_codes.py",
        ", only_valid=True",
        "",
        f"{test}a_machine_gets_another_code_and_stays_the_same_machine",
    )


def _library() -> Iterator[Guard]:
    kept = "tests/agent/firmware/test_kept.py::test_"
    library = "tests/cloud/firmware/test_library.py::test_"
    orders = "tests/cloud/firmware/test_orders.py::test_"
    yield Guard(
        "a firmware file that was kept is read before it is used",
        "agent/firmware/cache.py",
        "if is_mine or sha256 is None or await self._is_sound(path, sha256):",
        "if True:",
        f"{kept}the_next_process_has_it_and_reads_it_before_it_is_used",
    )
    yield Guard(
        "kept firmware gives way",
        "agent/firmware/cache.py",
        "if room < cap_bytes and self._idle:",
        "if False:",
        f"{kept}what_is_kept_gives_way_to_what_is_wanted",
    )
    yield Guard(
        "kept firmware has a bound",
        "agent/firmware/cache.py",
        "self._idle.values()) > most:",
        "self._idle.values()) > 2**60:",
        f"{kept}what_was_used_longest_ago_goes_first",
    )
    yield Guard(
        "what a crash left among kept firmware is cleared",
        "agent/firmware/kept.py",
        "if file is None:\n                _remove(folder)",
        "if file is None:\n                pass",
        f"{kept}what_a_crash_left_is_cleared_at_the_start",
    )
    yield Guard(
        "an image has a cap",
        "cloud/firmware/library.py",
        "if body.size_bytes > settings.firmware_file_bytes:",
        "if False:",
        f"{library}a_file_of_3_gb_is_refused_when_it_is_announced",
    )
    yield Guard(
        "all images have a cap",
        "cloud/store/firmware.py",
        'values["size_bytes"] > cap_bytes:',
        'values["size_bytes"] > 2**60:',
        f"{library}all_images_together_have_a_cap_of_their_own_and_none_goes_by_itself",
    )
    yield Guard(
        "an image that open tasks need stays",
        "cloud/firmware/library.py",
        "if number := await firmware.needed_by(connection, row):",
        "if number := 0:",
        f"{orders}an_image_that_open_tasks_need_stays",
    )
    yield Guard(
        "a retry is of the same image",
        "cloud/firmware/ordered.py",
        "if params.sha256 not in (None, row.sha256):",
        "if False:",
        f"{orders}a_retry_is_of_the_same_file_and_needs_it",
    )
    yield Guard(
        "an image that is not whole is not ordered",
        "cloud/firmware/ordered.py",
        "if row.completed_at is None:",
        "if False:",
        f"{orders}what_is_not_whole_or_not_that_file_is_not_ordered",
    )
    yield Guard(
        "an image goes to the models that it is for",
        "cloud/nonce/planning.py",
        "    TaskName.FIRMWARE: _firmware,\n",
        "",
        f"{orders}an_image_goes_to_the_models_that_it_is_for",
    )
    yield Guard(
        "a damaged image is not handed out",
        "cloud/firmware/images.py",
        "if digest_of(path) != row.sha256:",
        "if False:",
        f"{orders}a_file_that_was_changed_on_the_disk_of_the_cloud_is_not_handed_out",
    )
    yield Guard(
        "a link to an image needs its signature",
        "cloud/firmware/serving.py",
        "if not images.opens(",
        "if False and not images.opens(",
        f"{orders}a_link_that_was_changed_opens_nothing",
    )
    yield Guard(
        "a signature is masked",
        "contract/hiding.py",
        'if "sig=" in text:',
        "if False:",
        f"{orders}no_link_is_stored_or_shown_and_one_that_is_told_is_masked",
    )


def _data_directory() -> Iterator[Guard]:
    cli = "tests/cloud/test_cli.py::test_"
    owner = "tests/cloud/test_cli_owner.py::test_"
    yield Guard(
        "root acts as the owner of a data directory",
        "service/hostuser.py",
        "owner = owner_of(folder) or myself()",
        "owner = myself()",
        f"{owner}what_root_makes_belongs_to_the_owner_of_the_directory",
    )
    yield Guard(
        "root goes through no link of another user",
        "service/hostuser.py",
        "if each.lstat().st_uid != 0:",
        "if False:",
        f"{owner}root_goes_no_way_that_another_user_laid",
    )
    yield Guard(
        "a lock is no link",
        "service/files.py",
        " | os.O_NOFOLLOW",
        "",
        "tests/service/test_files.py::test_a_link_in_the_place_of_a_lock_is_not_followed",
    )
    yield Guard(
        "a file that another user left is named",
        "cloud/store/engine.py",
        "        check_files(data, _KEPT)\n",
        "        pass\n",
        f"{owner}a_file_that_root_left_is_named_with_its_owner_and_what_to_run",
    )
    yield Guard(
        "a mistyped data directory makes no cloud",
        "cloud/store/engine.py",
        "if not make and not (data / DATABASE_NAME).is_file():",
        "if False:",
        f"{cli}a_directory_without_a_cloud_is_said_and_none_is_made",
    )
    yield Guard(
        "links begin with an address of the web",
        "cloud/config.py",
        "if not is_web or ",
        "if ",
        f"{cli}a_public_url_that_links_cannot_begin_with_is_refused",
    )


def _first_steps() -> Iterator[Guard]:
    user = "tests/agent/host/test_hostuser.py::test_"
    folder = "tests/agent/host/test_state_of_another.py::test_"
    targets = "tests/agent/cli/test_targets.py::test_"
    yield from _data_directory()
    yield Guard(
        "root writes no token through a link",
        "service/files.py",
        "    disk.unlink(beside)\n",
        "",
        f"{user}root_follows_no_link_in_a_folder_of_another",
    )
    yield Guard(
        "root gives the files to the owner of the folder",
        "service/disk.py",
        "            os.fchown(handle, owner.uid, owner.gid)",
        "            pass",
        f"{user}root_enrolls_for_the_owner_of_the_state_folder",
    )
    yield Guard(
        "a folder that enrolling makes belongs to the agent",
        "agent/link/enroll.py",
        "            os.chown(folder, owner.uid, owner.gid, follow_symlinks=False)",
        "            pass",
        f"{user}a_folder_that_enrolling_makes_belongs_to_the_agent_too",
    )
    yield Guard(
        "the daemon does not begin on a state folder of another user",
        "agent/cli/commands.py",
        "        check_files(config.state.dir, _STATE.union(*(each.state_files for each in SINKS)))\n",
        "",
        f"{folder}a_state_folder_of_another_ends_the_daemon_before_anything_is_begun",
    )
    yield Guard(
        "files of another user count in the state folder",
        "service/ownfolder.py",
        "        if named:",
        "        if False:",
        f"{folder}a_file_of_another_in_it_ends_the_daemon_too_if_the_daemon_writes_it",
    )
    yield Guard(
        "a disk that is read-only is waited for",
        "service/ownfolder.py",
        "    if nearest.exists() and is_read_only(nearest):",
        "    if False:",
        f"{folder}a_disk_that_is_full_or_read_only_is_no_reason_not_to_start",
    )
    yield Guard(
        "doctor checks as the user who will run",
        "service/hostuser.py",
        "if not is_root() or user.uid == 0:",
        "if True:",
        f"{user}doctor_checks_what_the_agents_user_may_do",
    )
    yield Guard(
        "doctor is root again after such a check",
        "service/hostuser.py",
        "        os.seteuid(0)\n        os.setegid(gid)",
        "        os.seteuid(0)",
        f"{user}doctor_leaves_no_files_of_root_behind",
    )
    yield Guard(
        "doctor never ends in a traceback",
        "agent/cli/doctor.py",
        "    except Exception as error:  # noqa",
        "    except ZeroDivisionError as error:  # noqa",
        f"{user}no_fault_of_a_check_ends_the_doctor",
    )
    yield Guard(
        "the owner of the folder is who will run",
        "agent/cli/doctor.py",
        "who = user or owner_of(folder) or myself()",
        "who = user or myself()",
        f"{user}doctor_checks_what_the_agents_user_may_do",
    )
    yield Guard(
        "a range that no scan takes is a problem to the doctor",
        "agent/cli/checks/farm.py",
        'yield Finding(PROBLEM, "ranges", str(error))',
        'yield Finding(OK, "ranges", str(error))',
        "tests/agent/cli/test_doctor.py::test_ranges_are_a_problem_to_the_doctor_as_to_the_scan",
    )
    on_link = "tests/agent/scan/test_sweep_on_link.py::test_"
    yield Guard(
        "what found no place in the neighbour table is asked again",
        "agent/scan/sweep/on_link.py",
        "if probe.tries < _TRIES or self._pending.was_full:",
        "if probe.tries < 0:",
        f"{on_link}nobody_on_a_large_segment_is_falsely_silent",
    )
    yield Guard(
        "nobody is silent behind a router that is not there",
        "agent/scan/sweep/routers.py",
        'lost[router] = f"the router {address_of(router)} does not answer"',
        "pass",
        f"{on_link}without_its_router_an_address_is_not_asked",
    )
    yield Guard(
        "nobody is silent whom this host cannot ask",
        "agent/scan/sweep/sweep.py",
        'probe.problem = f"{name} on this host: {os.strerror(answer.code).lower()}"',
        "probe.problem = None",
        "tests/agent/scan/test_sweep.py::test_what_this_host_cannot_reach_is_not_asked_and_never_silent",
    )
    yield Guard(
        "two ranges have two names",
        "agent/config/ranges.py",
        "if each.name.casefold() in seen:",
        "if False:",
        "tests/agent/config/test_file.py::test_a_mistake_is_named_with_its_key",
    )
    yield Guard(
        "the name of a range is no range",
        "contract/ranges.py",
        "    if is_range(name):\n        raise",
        "    if False:\n        raise",
        "tests/agent/config/test_file.py::test_a_mistake_is_named_with_its_key",
    )
    yield Guard(
        "a range of the cloud that may not be scanned is left out",
        "agent/daemon.py",
        "if self._is_scannable(each.range)",
        "if True",
        "tests/agent/host/test_daemon.py::test_ranges_with_a_name_are_scanned_and_kept_for_the_command_line",
    )
    yield Guard(
        "a cut scan is taken up only by the same",
        "agent/scan/report/memory.py",
        "if row is None or row[0] != plan:",
        "if row is None:",
        "tests/agent/scan/test_memory.py::test_a_cut_scan_is_not_taken_up_by_another",
    )
    yield Guard(
        "a cut scan is taken up only for an hour",
        "agent/scan/report/memory.py",
        "if not timedelta(0) <= now - at <= timedelta(seconds=RESUME_S):",
        "if False:",
        "tests/agent/scan/test_memory.py::test_a_cut_scan_is_not_taken_up_by_another",
    )
    yield Guard(
        "who says nothing for long takes no place from others",
        "agent/scan/visits.py",
        "return self._at_once + min(self._slow, _SLOW_SHARE * self._at_once)",
        "return self._at_once",
        "tests/agent/scan/test_scanner.py::test_hosts_that_accept_and_say_nothing_hold_up_no_miner",
    )
    yield Guard(
        "a slip in an address is no name",
        "agent/cli/targets.py",
        "(?!([\\d-]+|0x[0-9a-f]*)\\.?$)",
        "",
        f"{targets}a_slip_in_an_address_is_never_taken_for_a_name",
    )
    yield Guard(
        "one miner is one address",
        "agent/cli/targets.py",
        "if addresses > 1:",
        "if addresses > 300:",
        f"{targets}what_is_not_one_miner_is_refused_in_words",
    )
    yield Guard(
        "parameters come from a file",
        "service/given.py",
        'elif text.startswith("@"):',
        "elif False:",
        "tests/agent/cli/test_usage.py::test_parameters_come_from_a_file_or_from_standard_input",
    )
    yield Guard(
        "all packages of a command are of one installation",
        "service/start.py",
        "if (trouble := _mixed(*packages)) is not None:",
        "if (trouble := None) is not None:",
        "tests/service/test_start.py::test_a_start_with_a_package_of_another_installation_is_refused",
    )


def _by_hand() -> Iterator[Guard]:
    many, sheet = "tests/agent/cli/test_many.py::test_", "tests/agent/cli/test_sheet.py::test_"
    yield Guard(
        "many miners are asked only where their number is said",
        "agent/cli/many.py",
        "if expect is None and self._wanted.addresses > 1:",
        "if False:",
        f"{many}more_addresses_than_one_need_the_number_that_is_meant",
    )
    yield Guard(
        "the number that is said has to hold",
        "agent/cli/many.py",
        "if expect is not None and not expect.holds(number):",
        "if False:",
        f"{many}more_addresses_than_one_need_the_number_that_is_meant",
    )
    yield Guard(
        "what is not begun is recalled by who leaves",
        "agent/cli/many.py",
        "            recalls=True,\n",
        "",
        f"{many}what_was_not_begun_is_not_begun_once_it_is_interrupted",
    )
    yield Guard(
        "a task at many is for the miner that was counted, and for no other at its address",
        "agent/local/orders.py",
        "if request.mac is not None and identity.mac != request.mac:",
        "if False:",
        f"{many}another_miner_that_came_to_an_address_meanwhile_is_not_asked",
    )
    yield Guard(
        "what a miner tells is shown without what a terminal obeys",
        "agent/cli/glance.py",
        "document = _printable(document)  # miners told some of it",
        "pass",
        "tests/agent/cli/test_status.py::test_what_a_miner_tells_gives_no_orders_to_the_screen_of_top",
    )
    yield Guard(
        "a log is put over nothing and through no link",
        "agent/cli/act.py",
        'target.open("xb")',
        'target.open("wb")',
        f"{many}a_log_is_put_over_nothing_and_through_no_link",
    )
    yield Guard(
        "who is meant at an address is who is there",
        "agent/cli/survey.py",
        "if meant is not None and identity.mac != meant:",
        "if False:",
        f"{many}a_file_names_the_miners_and_who_is_meant_there",
    )
    yield Guard(
        "a formula in a file is no address",
        "agent/cli/sheet.py",
        "if cell.startswith(FORMULA):",
        "if False:",
        f"{sheet}what_is_no_address_is_refused_with_its_line_and_all_else_with_it",
    )
    yield Guard(
        "a file has so many rows and no more",
        "contract/sheets.py",
        "if found > rows_max + 1:",
        "if False:",
        f"{sheet}a_million_rows_end_at_once",
    )


def _rigmonitor() -> Iterator[Guard]:
    expected = "tests/cloud/rigmonitor/test_expected.py::"
    yield Guard(
        "a figure that no machine can have is none",
        "cloud/rigmonitor/figures.py",
        "        if value is None or limits.allow(value):",
        "        if True:",
        "tests/cloud/rigmonitor/test_reports.py::test_a_figure_no_machine_can_have_is_none_but_a_fault",
    )
    yield Guard(
        "bulk questions have a pace",
        "cloud/rigmonitor/machines.py",
        "    check_pace(request.app[BULK_LIMITER], peer_of(request))\n",
        "",
        f"{expected}test_whoever_asks_for_many_without_a_code_is_held_to_ten_times_a_second",
    )
    yield Guard(
        "an address counts as forwarded only by a proxy of ours",
        "cloud/http/peers.py",
        "any(peer in proxy for proxy in proxies)",
        "True",
        f"{expected}TestBehindAProxy::test_the_one_it_forwards_is_held_back_and_no_other",
    )
    yield Guard(
        "so many callers are remembered and no more",
        "cloud/rigmonitor/limiter.py",
        "if len(self._buckets) > CALLERS_MAX:",
        "if False:",
        f"{expected}test_of_very_many_callers_the_one_that_called_longest_ago_is_forgotten",
    )
    yield Guard(
        "an unknown code is answered as published",
        "cloud/rigmonitor/replies.py",
        "Invalid API_CODE",
        "API_CODE invalid.",
        "tests/cloud/rigmonitor/test_refusals.py::test_a_call_without_a_code_or_with_a_wrong_one_is_refused",
    )


def _rigs() -> Iterator[Guard]:
    ssh, here = "tests/drivers/rig/test_ssh.py::test_", "tests/drivers/rig/test_local.py::test_"
    judged, programs = (
        "tests/agent/rig/test_playbooks.py::test_",
        "tests/agent/rig/test_programs.py::test_",
    )
    callers = "tests/agent/rig/test_server.py::test_"
    yield Guard(
        "a host with another key than the pinned one is told nothing",
        "drivers/rig/reach/login.py",
        '"known_hosts": ([pinned], [], []),',
        '"known_hosts": None,',
        f"{ssh}another_host_key_ends_every_call_and_nothing_is_sent",
    )
    yield Guard(
        "an order goes by the connection that was asked who it is",
        "drivers/rig/wire.py",
        "permit.sending(self._still_open)",
        "permit.sending()",
        "tests/drivers/rig/test_commands.py::test_a_connection_that_goes_before_the_first_byte_has_sent_nothing",
    )
    yield Guard(
        "a rig is known by its MAC and its machine-id",
        "drivers/changes/identity.py",
        "        if False in same:\n",
        "        if False:\n",
        "tests/drivers/rig/test_mining.py::test_another_rig_at_the_address_is_not_written_to",
    )
    yield Guard(
        "of a file of a rig so much is read and no more",
        "drivers/rig/reach/local.py",
        "return os.read(handle, FILE_CAP_BYTES)",
        "return os.read(handle, 10 * FILE_CAP_BYTES)",
        f"{here}what_is_no_plain_file_or_not_to_be_read_is_left_out",
    )
    yield Guard(
        "a command on a rig tells so much and no more",
        "drivers/rig/reach/sessions.py",
        "if len(data) > left_bytes:",
        "if False:",
        f"{ssh}a_command_that_says_nothing_or_too_much_is_a_named_error",
    )
    yield Guard(
        "what a rig sends and nobody asked for ends its connection",
        "drivers/rig/reach/inflow.py",
        "        return not self.is_over\n",
        "        return True\n",
        f"{ssh}what_a_server_sends_and_nobody_asked_for_ends_its_connection",
    )
    yield Guard(
        "the programs of a rig have so much of a look and no more",
        "drivers/rig/driver.py",
        "_PROGRAMS_SHARE: Final = 0.8",
        "_PROGRAMS_SHARE: Final = 8.0",
        "tests/agent/telemetry/test_hanging_rigs.py::test_the_others_keep_their_interval_and_those_that_hang_are_told_by_name",
    )
    yield Guard(
        "an answer of a mining program has a size",
        "drivers/rig/programs.py",
        "ANSWER_CAP_BYTES: Final = 512 * 1024",
        "ANSWER_CAP_BYTES: Final = 1024 * 1024",
        "tests/drivers/rig/test_read.py::test_a_program_that_answers_nonsense_is_a_fault_and_the_rest_is_read",
    )
    yield Guard(
        "a playbook gives no option that is not allowed",
        "agent/rig/options.py",
        "        if name not in options:\n",
        "        if name not in options:\n            continue\n        if False:\n",
        f"{judged}what_is_not_allowed_is_refused_by_name",
    )
    yield Guard(
        "a mining program listens on loopback alone",
        "agent/rig/options.py",
        "if is_loopback(value):",
        "if True:",
        f"{judged}what_is_not_allowed_is_refused_by_name",
    )
    yield Guard(
        "an executable is the one with the allowed sha256",
        "agent/rig/executables.py",
        "if is_it != sha256:",
        "if False:",
        f"{programs}a_file_that_is_another_is_not_started",
    )
    yield Guard(
        "an executable that others may change is not started",
        "agent/rig/executables.py",
        " or found.st_mode & _WRITABLE_BY_OTHERS",
        "",
        f"{programs}a_file_that_is_another_is_not_started",
    )
    yield Guard(
        "what is executed is the file that was hashed",
        "agent/rig/processes.py",
        'executable=f"/proc/self/fd/{executable}",',
        "executable=order.path,",
        f"{programs}what_is_executed_is_what_was_checked",
    )
    yield Guard(
        "a process with the pid of ours is not ours",
        "agent/rig/processes.py",
        "if started is None or started != known:",
        "if started is None:",
        "tests/agent/rig/test_restarts.py::test_a_stranger_with_its_pid_is_neither_adopted_nor_ended",
    )
    yield Guard(
        "the service of a rig hears those who may call",
        "agent/rig/server.py",
        "if not self._callers.includes(uid, gids):",
        "if False:",
        f"{callers}another_user_is_told_so_and_heard_no_further",
    )
    yield Guard(
        "one user has a few connections to it",
        "agent/rig/server.py",
        "if self._of_user[uid] >= _OF_ONE_USER or ",
        "if ",
        f"{callers}one_user_has_no_more_than_a_few_connections",
    )
    yield Guard(
        "an empty list of playbooks counts once it is said twice",
        "agent/sinks/rigmonitor/playbooks.py",
        "if not entries and self._empty < EMPTY_AFTER:",
        "if False:",
        "tests/agent/rigmonitor/test_playbooks.py::test_an_empty_list_counts_once_two_answers_in_a_row_say_so",
    )


def _miners() -> Iterator[Guard]:
    agree = "tests/cloud/nonce/test_filters_agree.py::test_"
    books = "tests/cloud/nonce/test_books.py::test_"
    skips = "tests/cloud/nonce/test_skips.py::test_"
    yield Guard(
        "of an offline miner nothing is said that follows from figures",
        "cloud/nonce/miners.py",
        "shown, flags, judged = Moving(), flags & ~LOW_HASHRATE, 0",
        "shown, flags, judged = Moving(), flags, judged",
        f"{agree}nothing_is_judged_by_figures_that_are_not_shown",
    )
    yield Guard(
        "a mode that is not known can be searched for",
        "cloud/store/miners/conditions.py",
        "mode = sa.func.coalesce(miners.c.mode, UNKNOWN_MODE)",
        "mode = miners.c.mode",
        f"{agree}a_filter_finds_the_miners_whose_field_says_so_and_no_other",
    )
    yield Guard(
        "a share of the ideal rate is that of a miner with figures",
        "cloud/store/miners/conditions.py",
        "found += [_has_figures(fresh), *asked]",
        "found += asked",
        f"{agree}a_filter_finds_the_miners_whose_field_says_so_and_no_other",
    )
    search = "tests/cloud/nonce/test_search.py::test_"
    references = "tests/cloud/nonce/test_references.py::test_"
    places = "tests/cloud/nonce/test_places.py::test_"
    sheets = "tests/cloud/test_cli_miners.py::test_"
    yield Guard(
        "an agent, a model, a tag that is ruled out rules out no miner without one",
        "cloud/store/filters.py",
        "return sa.not_(sa.func.coalesce(condition, sa.false()))",
        "return sa.not_(condition)",
        f"{search}a_selection_finds_the_miners_whose_item_says_so_and_no_other",
    )
    yield Guard(
        "a tag is found as a whole, and not within another",
        "cloud/store/filters.py",
        'return sa.and_(is_like(text, f"%{written}%"), sa.or_(*ways))',
        'return is_like(text, f"%{written}%")',
        f"{search}a_selection_finds_the_miners_whose_item_says_so_and_no_other",
    )
    yield Guard(
        "a pattern of wildcards alone selects nothing",
        "contract/nonce/filters.py",
        "if not value.strip(_WILDCARDS):",
        "if False:",
        "tests/cloud/nonce/test_borders.py::"
        "test_a_key_of_a_body_that_is_not_known_is_one_message_with_the_one_that_is_meant",
    )
    yield Guard(
        "an id of another farm's miner is no miner's",
        "cloud/store/miners/search.py",
        "read_rows(ListedMiner, rows) if row.farm_id == farm_id}",
        "read_rows(ListedMiner, rows)}",
        f"{references}a_miner_of_another_farm_is_meant_by_nothing",
    )
    yield Guard(
        "what several miners are called means none of them",
        "cloud/store/miners/references.py",
        "if len(meant) > 1:",
        "if False:",
        f"{references}what_two_miners_are_called_is_refused_with_both",
    )
    yield Guard(
        "no miner is called like an id, an address or a MAC",
        "cloud/store/miners/places.py",
        "if is_reserved(name):",
        "if False:",
        f"{references}a_name_belongs_to_one_miner_of_a_farm",
    )
    yield Guard(
        "no two miners of a farm have one name",
        "cloud/store/miners/places.py",
        "(holder := holders.setdefault(key_of(name), each.miner)) is not each.miner",
        "(holder := holders.setdefault(key_of(name), each.miner)) is None",
        f"{references}a_name_belongs_to_one_miner_of_a_farm",
    )
    yield Guard(
        "with one fault no place is changed",
        "cloud/nonce/places.py",
        "if not plan.faults:",
        "if True:",
        f"{references}a_name_belongs_to_one_miner_of_a_farm",
    )
    yield Guard(
        "a dry run of places writes nothing",
        "cloud/nonce/places.py",
        "if body.dry_run or faults:",
        "if faults:",
        f"{places}the_same_again_changes_nothing_and_a_dry_run_never_does",
    )
    yield Guard(
        "a reading leaves the name of its miner",
        "cloud/store/miners/readings.py",
        """        "tags",
        "name",
""",
        """        "tags",
""",
        f"{places}a_reading_leaves_names_and_places_as_they_are",
    )
    yield Guard(
        "no cell of a sheet is a formula",
        "cloud/cli/sheets.py",
        "return _QUOTE + cell",
        "return cell",
        f"{sheets}what_is_exported_is_imported_again_and_nothing_in_it_is_a_formula",
    )
    yield Guard(
        "no formula is taken from a sheet",
        "cloud/cli/sheets.py",
        "elif cell.startswith(FORMULA):",
        "elif False:",
        f"{sheets}each_fault_of_a_sheet_is_told_with_its_line_and_nothing_is_written",
    )
    yield Guard(
        "a sheet has so many rows and no more",
        "contract/sheets.py",
        "if found > rows_max + 1:",
        "if found > 2 * rows_max:",
        f"{sheets}a_million_rows_are_refused_before_they_are_read",
    )
    yield Guard(
        "the asset status decides whether there is a change",
        "cloud/nonce/planning.py",
        'return "no_change" if row.asset_status == params.status else None',
        'return "no_change" if row.ops_status == ops_status_of(params.status) else None',
        f"{books}the_last_asset_status_is_told_beside_the_published_words",
    )
    yield Guard(
        "a light is on by a look that asked for it",
        "cloud/nonce/planning.py",
        "_is_current(row, row.slow_read_at, recent, now)",
        "_is_current(row, row.last_read_at, recent, now)",
        f"{skips}a_light_is_as_wished_only_by_a_reading_that_looked_at_it",
    )
    yield Guard(
        "an old refusal of the login skips no task",
        "cloud/nonce/planning.py",
        "_is_young(row, row.auth_failed_at, now)",
        "row.auth_failed_at is not None",
        f"{skips}a_miner_that_refuses_the_login_shows_it_and_gets_no_task_while_that_is_news",
    )
    yield Guard(
        "a mode that others of the make have is missing in the model",
        "cloud/nonce/planning.py",
        "request.params.mode, row)",
        "request.params.mode, row) and False",
        f"{skips}a_mode_that_cannot_be_set_says_whose_fault_that_is",
    )
    yield Guard(
        "agents away for a day get no task",
        "cloud/nonce/creation.py",
        "if row not in away]",
        "if True]",
        f"{skips}a_task_for_agents_goes_to_those_seen_within_a_day_and_names_the_others",
    )
    yield Guard(
        "no parameters are an empty object in lists",
        "cloud/nonce/batches.py",
        ") or {},",
        "),",
        f"{books}params_that_are_none_are_an_empty_object_in_lists_of_batches",
    )
    yield Guard(
        "a deleted miner that comes back says so",
        "cloud/store/miners/readings.py",
        "        returned = Return(row, deleted_at)\n",
        "",
        f"{books}a_deleted_miner_that_comes_back_says_so_in_an_event",
    )
    yield Guard(
        "what we put away ourselves comes back without a word",
        "cloud/store/miners/returns.py",
        "if not each.stands_for_an_address or (each.row.id, each.deleted_at) in deletions",
        "if True",
        f"{books}a_record_that_was_put_away_for_a_mac_comes_back_without_an_event",
    )
    yield Guard(
        "heartbeats are stored whatever claims do",
        "cloud/link/api.py",
        "    written_mono = session.beat_written_mono\n",
        "    written_mono = session.persisted_mono\n",
        f"{books}the_host_of_an_agent_is_as_young_as_its_heartbeat_however_often_it_claims",
    )
    yield Guard(
        "the host is shown as its last heartbeat told it",
        "cloud/nonce/sites.py",
        "(last := sessions.last_beat(row.id)) is not None",
        "(last := None) is not None",
        f"{books}the_host_of_an_agent_is_as_young_as_its_heartbeat_however_often_it_claims",
    )


def _limits() -> Iterator[Guard]:
    test = "tests/drivers/whatsminer/test_limited.py::test_"
    yield Guard(
        "a share of power that can be none limits nothing",
        "contract/condition/anomalies.py",
        "return share if 0.0 < share < 1.0 else 1.0",
        "return share",
        "tests/contract/condition/test_judgement.py::test_a_share_that_can_be_none_limits_nothing",
    )
    yield Guard(
        "one that draws little is broken and not limited",
        "drivers/whatsminer/reading/limit.py",
        " or power_w < _HELD_BACK * set_w * share",
        "",
        f"{test}full_power_is_concluded_from_one_that_draws_all_it_may",
    )
    yield Guard(
        "a percentage is lost with a boot",
        "drivers/whatsminer/driver.py",
        "if up_s is None or up_s < since_s * self.timing.pace:",
        "if up_s is None:",
        f"{test}a_percentage_that_is_not_told_can_be_given_to_the_next_driver",
    )


def _assets() -> Iterator[Guard]:
    proposals = "tests/cloud/assets/test_proposals.py::test_"
    parts = "tests/cloud/assets/test_parts.py::test_"
    ranges = "tests/cloud/assets/test_ranges.py::test_"
    yield Guard(
        "what is doubted is not confirmed",
        "cloud/assets/proposals.py",
        "        if proposal.doubts:\n",
        "        if False:\n",
        f"{proposals}a_miner_that_claims_the_serials_of_one_that_answers_gains_nothing",
    )
    yield Guard(
        "parts that are shown in two miners are doubted",
        "cloud/store/assets/pairs.py",
        "if any(at >= came for came in still.values()):",
        "if False:",
        f"{proposals}a_miner_that_claims_the_serials_of_one_that_answers_gains_nothing",
    )
    yield Guard(
        "a miner that answers is read once more",
        "cloud/store/assets/pairs.py",
        "    elif asset.answers(now):",
        "    elif False:",
        f"{proposals}a_miner_that_answers_is_read_once_more_before_it_is_believed_gone",
    )
    yield Guard(
        "of two records that would fit neither is taken",
        "cloud/store/assets/proposals.py",
        "doubts = [*told.doubts, *_others(pair, by_pair, judged, known)]",
        "doubts = [*told.doubts]",
        f"{proposals}where_two_would_fit_neither_is_confirmed",
    )
    yield Guard(
        "a cloned MAC is joined with nobody",
        "cloud/store/assets/pairs.py",
        "if row.unstable_reason == _DUPLICATE_MAC:",
        "if False:",
        f"{proposals}a_device_that_shows_the_mac_of_another_is_joined_with_nobody",
    )
    yield Guard(
        "what many miners show tells nothing",
        "cloud/store/assets/pairs.py",
        "        >= _MANY\n",
        "        >= 1000\n",
        f"{proposals}serials_that_many_miners_show_propose_nothing",
    )
    yield Guard(
        "placeholders are followed nowhere",
        "cloud/store/assets/parts.py",
        "isinstance(told, str) and not is_placeholder(told)",
        "isinstance(told, str)",
        f"{parts}placeholders_are_followed_nowhere",
    )
    yield Guard(
        "of a miner so many stays are kept",
        "cloud/store/assets/parts.py",
        "        dropped += _too_many(mine, len(wanted))\n",
        "",
        f"{parts}a_miner_that_shows_ever_new_parts_fills_no_disk",
    )
    yield Guard(
        "a farm has so many proposals",
        "cloud/store/assets/proposals.py",
        "for pair in wanted[:room]",
        "for pair in wanted",
        f"{proposals}a_farm_has_only_so_many_proposals",
    )
    yield Guard(
        "records are joined when no task is open",
        "cloud/store/assets/merging.py",
        "    await _check_tasks(connection, farm_id, pair)\n",
        "",
        f"{proposals}open_tasks_of_the_two_come_first",
    )
    yield Guard(
        "no agent gets a task for a record without a device",
        "cloud/nonce/planning.py",
        """        if _has_no_device(row):
            return "miner_not_found"
""",
        "",
        f"{proposals}no_agent_gets_a_task_for_a_record_whose_board_is_in_another_case",
    )
    yield Guard(
        "no confirmation takes a device out of maintenance",
        "cloud/store/assets/merging.py",
        "    await _keep_maintenance(connection, (asset, found), now, swap=swap)\n",
        "",
        f"{proposals}a_confirmation_takes_no_miner_out_of_maintenance",
    )
    yield Guard(
        "a named range is of private addresses",
        "contract/nonce/ranges.py",
        "if not any(all(end in each for end in ends) for each in _OF_FARMS):",
        "if False:",
        f"{ranges}what_is_no_name_or_no_range_of_a_farm_is_refused",
    )
    yield Guard(
        "a scan is of the range that it names",
        "cloud/nonce/batches.py",
        "        await check_ranges(request.app[STORE], farm, order.request.params)\n",
        "",
        f"{ranges}an_order_to_scan_names_ranges_that_are_there",
    )


def _orders() -> Iterator[Guard]:
    selections = "tests/cloud/nonce/test_selections.py::test_"
    groups = "tests/cloud/nonce/test_groups.py::test_"
    undo = "tests/cloud/nonce/test_undo.py::test_"
    yield Guard(
        "a selection of nothing in particular is refused",
        "contract/nonce/selections.py",
        "if not (narrow or self.all or self.saved is not None):",
        "if False:",
        f"{selections}what_selects_nothing_or_too_much_is_refused_by_name",
    )
    yield Guard(
        "filters that are kept say something",
        "contract/nonce/selections.py",
        "if not says_something(self):",
        "if False:",
        f"{selections}filters_are_checked_when_they_are_kept",
    )
    yield Guard(
        "a selection is as large as it was shown",
        "cloud/nonce/batches.py",
        "if expected is not None and not expected.holds(len(ids)):",
        "if False:",
        f"{selections}a_selection_that_grew_since_the_dry_run_is_refused_with_both_numbers",
    )
    yield Guard(
        "a selection is ordered with its count",
        "cloud/nonce/batches.py",
        "elif body.expect_count is None and not body.dry_run:",
        "elif False:",
        f"{selections}what_selects_nothing_or_too_much_is_refused_by_name",
    )
    yield Guard(
        "an equal task that is open is not given twice",
        "cloud/nonce/planning.py",
        "if _is_asked_for(request, still_open.get(miner_id)):",
        "if False:",
        f"{selections}of_two_operators_at_once_the_second_is_skipped",
    )
    yield Guard(
        "of open tasks the newest counts",
        "cloud/store/tasks/lookup.py",
        "            found[row.miner_id] = row",
        "            found.setdefault(row.miner_id, row)",
        f"{selections}only_the_last_word_counts_as_asked_for_already",
    )
    yield Guard(
        "what is held is given to no agent",
        "cloud/store/subscriptions/dispatch.py",
        "    tasks.c.held == sa.false(),\n    tasks.c.journal_id",
        "    tasks.c.journal_id",
        f"{groups}no_agent_is_given_what_is_held",
    )
    yield Guard(
        "what is held does not expire",
        "cloud/store/tasks/sweeps.py",
        "        sa.or_(tasks.c.held == sa.false(), tasks.c.cancel_requested_at.is_not(None)),\n",
        "",
        f"{groups}the_rest_is_held_until_those_that_go_first_are_proven",
    )
    called_off = "tests/cloud/link/test_called_off.py::test_"
    yield Guard(
        "what was called off does not wait for its group",
        "cloud/store/tasks/sweeps.py",
        "tasks.c.held == sa.false(), tasks.c.cancel_requested_at.is_not(None)",
        "tasks.c.held == sa.false()",
        f"{called_off}what_is_called_off_while_its_agent_stays_away_ends_with_its_queue_life",
    )
    yield Guard(
        "agents have time to speak before anything expires",
        "cloud/store/tasks/sweeps.py",
        "    if not agents_had_time:\n        return 0\n",
        "",
        "tests/cloud/store/test_cloud_time.py::test_what_ended_while_the_cloud_was_down_can_still_be_told_when_it_is_back",
    )
    yield Guard(
        "what is called off ends only where its agents were heard",
        "cloud/store/tasks/handed.py",
        "sa.or_(is_own, ~may_have_it)",
        "sa.true()",
        f"{called_off}what_an_agent_still_has_ends_as_what_truly_happens",
    )
    yield Guard(
        "an agent is heard once it has told all",
        "cloud/link/api.py",
        "if not session.has_told_all and claim.last_seq <= agent.last_seq:",
        "if not session.has_told_all:",
        f"{called_off}what_an_agent_has_done_is_told_before_the_rest_ends",
    )
    yield Guard(
        "what any agent may have waits for all of them",
        "cloud/store/tasks/handed.py",
        "                tasks.c.agent_id.is_(None),\n                tasks.c.held == sa.true(),\n",
        "",
        f"{called_off}what_any_agent_may_have_waits_for_all_of_them",
    )
    order = "tests/agent/tasks/test_dispatcher_order.py::test_"
    yield Guard(
        "one task at a time works at one address",
        "agent/limits/addresses.py",
        "return stay.task_id == task_id",
        "return True",
        f"{order}one_miner_has_one_task_at_a_time_whatever_its_name",
    )
    on_site = "tests/agent/tasks/test_mining.py::test_on_site_a_miner_that_tells_no_mac_while_it_is_off_is_who_told_one_there"
    yield Guard(
        "a miner is in maintenance by whatever name it goes",
        "agent/limits/maintenance.py",
        " or self._hidden_mac(miner) in self._keys",
        "",
        on_site,
    )
    yield Guard(
        "a queue life begins when it is let go",
        "cloud/store/tasks/groups.py",
        "            queue_expires_cloud_s=expires_cloud_s,\n",
        "",
        f"{groups}the_rest_is_held_until_those_that_go_first_are_proven",
    )
    yield Guard(
        "a canary is proven by what was seen",
        "cloud/store/tasks/groups.py",
        '        and told.get("verified") is True\n',
        "",
        f"{groups}one_that_is_not_proven_holds_the_others_until_somebody_decides",
    )
    yield Guard(
        "a group forgets its passwords with its last task",
        "cloud/store/tasks/settle.py",
        "            await _forget_of_group(connection, group_id)",
        "            pass",
        f"{groups}passwords_of_a_group_are_hidden_and_leave_the_database_with_its_last_task",
    )
    yield Guard(
        "what has not ended is not undone",
        "cloud/nonce/undo.py",
        "    if counts.open:",
        "    if False:",
        f"{undo}what_has_not_ended_is_not_undone",
    )
    yield Guard(
        "an undo asks for passwords",
        "cloud/nonce/undo.py",
        "if ordered.needed and not body.dry_run:",
        "if False:",
        f"{undo}a_password_that_nobody_keeps_is_asked_for",
    )


def _login() -> Iterator[Guard]:
    telemetry = "tests/agent/telemetry/test_poller.py::test_"
    skips = "tests/cloud/nonce/test_skips.py::test_"
    yield Guard(
        "a refused login is the reason before a MAC that is told only after it",
        "cloud/nonce/planning.py",
        "if row.unstable_reason == DUPLICATE_MAC:",
        "if row.unstable_reason:",
        f"{skips}a_refused_login_is_the_reason_before_a_mac_that_is_told_only_after_it",
    )
    yield Guard(
        "what refuses the login is told of the miner known at its address",
        "cloud/store/miners/readings.py",
        "named = None if look.mac else standing.get(look.ip)",
        "named = None",
        f"{skips}what_refuses_the_login_at_the_address_of_a_known_miner_is_told_of_that_one",
    )
    yield Guard(
        "a look that needs no login shows not that it is taken again",
        "cloud/store/miners/readings.py",
        "return needs_none and named.auth_failed_at is not None",
        "return False",
        f"{skips}what_refuses_the_login_at_the_address_of_a_known_miner_is_told_of_that_one",
    )
    yield Guard(
        "a refusal out of a buffer is no news of the known miner",
        "cloud/store/miners/readings.py",
        "            return  # one from a buffer, as in `refresh`",
        "            pass",
        f"{skips}what_refuses_the_login_at_the_address_of_a_known_miner_is_told_of_that_one",
    )
    yield Guard(
        "a miner that another agent knows is not told of",
        "cloud/store/miners/readings.py",
        "        and row.agent_id == agent_id\n",
        "",
        f"{skips}where_no_miner_is_known_one_that_refuses_the_login_has_its_own_record",
    )
    yield Guard(
        "one that refuses the login is asked again with each look",
        "agent/telemetry/poller.py",
        "        if plan.login_refused:  # only",
        "        if False:  # only",
        f"{telemetry}while_the_login_is_refused_each_look_says_so",
    )
    yield Guard(
        "a login that is taken again ends the fault",
        "cloud/store/miners/readings.py",
        "        if reading.error is None:\n",
        "        if False:\n",
        "tests/cloud/nonce/test_skips.py::test_a_miner_that_refuses_the_login_shows_it_and_gets_no_task_while_that_is_news",
    )
    yield Guard(
        "a refused login is said once per change",
        "agent/telemetry/poller.py",
        "        if refused == plan.login_refused:\n",
        "        if False:\n",
        f"{telemetry}a_refused_login_is_said_once_per_change_and_kept_for_the_doctor",
    )
    yield Guard(
        "a refused login is no outage",
        "agent/telemetry/poller.py",
        "plan.failures == 1 and not said",
        "plan.failures == 1",
        f"{telemetry}a_refused_login_is_said_once_per_change_and_kept_for_the_doctor",
    )
    yield Guard(
        "the cloud hears that slow facts are as they were",
        "agent/telemetry/poller.py",
        "and seen.reading.slow is not None,",
        "and False,",
        f"{telemetry}slow_and_static_facts_are_sent_only_when_they_changed",
    )
    yield Guard(
        "doctor names the miners that refuse the login",
        "agent/cli/checks/farm.py",
        "    if refused:\n        findings",
        "    if False:\n        findings",
        "tests/agent/cli/test_doctor.py::test_doctor_names_the_miners_that_refused_the_login_of_the_daemon",
    )
    yield Guard(
        "a miner that is forgotten refuses nothing",
        "agent/miners/inventory.py",
        "        self._note(key, refused=False)\n",
        "",
        "tests/agent/miners/test_inventory.py::test_who_refused_the_login_is_kept_until_it_is_taken_or_the_miner_is_forgotten",
    )


def _moves() -> Iterator[Guard]:
    missing = "tests/agent/miners/test_missing.py::test_"
    hidden = "tests/agent/miners/test_hidden.py::test_"
    grounds = "tests/agent/miners/test_territory.py::test_"
    hunt = "tests/agent/scan/test_hunt.py::test_"
    yield Guard(
        "a miner that is missing is looked for ever more seldom",
        "agent/miners/missing.py",
        "AGAIN_S * 2.0 ** min(tries - 1, 16)",
        "AGAIN_S",
        f"{missing}what_is_not_found_is_looked_for_ever_more_seldom_and_then_no_more",
    )
    yield Guard(
        "of many that were lost at one address, the first four are looked for",
        "agent/miners/missing.py",
        "return len(self._lost_at.get(ip, ())) < AT_ONE_MOST",
        "return True",
        f"{missing}of_many_that_were_lost_at_one_address_the_first_are_looked_for",
    )
    yield Guard(
        "a miner that is missing for a day is looked for no more",
        "agent/miners/missing.py",
        "now - each.lost_mono > GIVE_UP_S",
        "False",
        f"{missing}what_is_not_found_is_looked_for_ever_more_seldom_and_then_no_more",
    )
    yield Guard(
        "a miner that only restarts is looked for less each time",
        "agent/miners/missing.py",
        "tries = 0 if before is None else before.tries",
        "tries = 0",
        f"{missing}one_that_only_restarts_is_looked_for_less_each_time",
    )
    yield Guard(
        "a miner that was ordered about has the time of a boot",
        "agent/miners/missing.py",
        "max(wait_s, ordered_mono + self._boot_s - now)",
        "wait_s",
        f"{missing}one_that_was_ordered_about_has_the_time_of_a_boot_to_be_back",
    )
    yield Guard(
        "a hunt asks no address where a known miner answers",
        "agent/scan/hunt.py",
        "skip=known.__contains__",
        "skip=None",
        f"{hunt}it_ends_with_the_last_that_is_found_and_asks_no_miner_that_is_known",
    )
    yield Guard(
        "a hunt leaves out what is denied, and rigs",
        "agent/miners/territory.py",
        "done: tuple[Range, ...] = self._not_scanned",
        "done: tuple[Range, ...] = ()",
        f"{grounds}nothing_outside_or_denied_and_no_rig_is_looked_through_and_no_more_than_a_scan_may",
    )
    yield Guard(
        "a hunt stays within the addresses of the agent",
        "agent/miners/territory.py",
        "allowed = _common(merge(spans), self._allowed)",
        "allowed = merge(spans)",
        f"{grounds}nothing_outside_or_denied_and_no_rig_is_looked_through_and_no_more_than_a_scan_may",
    )
    yield Guard(
        "one ground of a hunt is no larger than a scan",
        "agent/miners/territory.py",
        "if left := _at_most(left, max_addresses):",
        "if left:",
        f"{grounds}nothing_outside_or_denied_and_no_rig_is_looked_through_and_no_more_than_a_scan_may",
    )
    yield Guard(
        "what tells no MAC is nobody known if it tells anything else",
        "agent/miners/members.py",
        " or not agrees(record.identity, member.identity):",
        ":",
        f"{hidden}what_tells_anything_else_is_another",
    )
    yield Guard(
        "what tells no MAC is nobody whose MAC is shown elsewhere",
        "agent/miners/members.py",
        " or mac is None or self.twins(ip):",
        " or mac is None:",
        f"{hidden}it_is_nobodys_record_where_its_mac_is_shown_elsewhere",
    )
    yield Guard(
        "a look says nothing of a miner that was met elsewhere meanwhile",
        "agent/telemetry/poller.py",
        "seen.reading is None and self._fleet.at(ip) is not driver:",
        "False:",
        "tests/agent/telemetry/test_poller.py::test_a_look_that_ends_after_its_miner_was_met_elsewhere_says_nothing_of_it",
    )


def _load() -> Iterator[Guard]:
    lines = "tests/cloud/http/test_connections.py::test_"
    growth = "tests/cloud/store/test_growth.py::test_"
    pruning = "tests/cloud/store/test_pruning.py::test_"
    files = "tests/service/test_files.py::test_"
    yield Guard(
        "an encoding that is not spoken is refused",
        "cloud/http/bodies.py",
        "if named not in (*_PLAIN, *_PACKED):",
        "if False:",
        "tests/cloud/link/test_readings.py::test_an_encoding_that_is_not_spoken_is_named_in_the_documented_body",
    )
    yield Guard(
        "a body has its time",
        "cloud/http/bodies.py",
        "async with asyncio.timeout(limit_s):",
        "async with asyncio.timeout(None):",
        f"{lines}a_body_that_comes_byte_by_byte_is_not_waited_for",
    )
    yield Guard(
        "connections have a number",
        "cloud/http/listener.py",
        "if self._count() >= self._most and not self._make_room():",
        "if False:",
        f"{lines}who_waits_longest_makes_room_and_who_is_being_answered_stays",
    )
    yield Guard(
        "who waits longest makes room",
        "cloud/http/listener.py",
        "        _, first = min(waiting, key=lambda each: each[0])",
        "        _, first = max(waiting, key=lambda each: each[0])",
        f"{lines}who_waits_longest_makes_room_and_who_is_being_answered_stays",
    )
    yield Guard(
        "a head has its time",
        "cloud/http/listener.py",
        '        "keepalive_timeout": settings.idle_s,\n',
        "",
        f"{lines}a_head_that_comes_byte_by_byte_is_not_waited_for",
    )
    yield Guard(
        "who never begins to speak TLS makes room, too",
        "cloud/http/listener.py",
        "            waiting += [(since, task) for task, since in self._arriving.items()]",
        "            pass",
        f"{lines}who_never_begins_to_speak_tls_makes_room_too",
    )
    yield Guard(
        "who is unknown and keeps back a body makes room, too",
        "cloud/http/listener.py",
        "return None if request is None else request.get(AWAITED_SINCE)",
        "return None",
        f"{lines}who_is_unknown_and_keeps_back_a_body_makes_room_too",
    )
    yield Guard(
        "who is unknown and reads no answer makes room, too",
        "cloud/http/listener.py",
        "            return self._unread_since\n",
        "            return None\n",
        f"{lines}who_is_unknown_and_reads_no_answer_makes_room_too",
    )
    yield Guard(
        "the rest of the last answer has its time",
        "cloud/http/listener.py",
        "self._end = self._loop.call_later(self.keepalive_timeout, self._line.abort)",
        "pass",
        f"{lines}who_reads_no_answer_before_it_goes_is_not_waited_for",
    )
    yield Guard(
        "an interval has an end",
        "cloud/store/miners/readings.py",
        "return min(max(told_s, 1.0), INTERVAL_MAX_S)",
        "return told_s",
        "tests/cloud/nonce/test_miners.py::test_no_figure_of_an_agent_hides_the_miners_of_its_farm",
    )
    yield Guard(
        "a rate that no machine has is in no mean",
        "cloud/store/miners/readings.py",
        " or not 0 <= hashrate_hs <= _RATE_MAX_HS",
        "",
        "tests/cloud/nonce/test_miners.py::test_no_figure_of_an_agent_hides_the_miners_of_its_farm",
    )
    yield Guard(
        "an agent is answered a few calls at a time",
        "cloud/link/api.py",
        "    if session.calls >= most:",
        "    if False:",
        f"{lines}an_agent_is_answered_a_few_calls_at_a_time",
    )
    yield Guard(
        "miners of tasks of the site count as those of readings",
        "cloud/store/growth.py",
        "if number and await self.new_miners(connection, farm_id) < number:",
        "if False:",
        f"{growth}their_miners_count_as_those_of_readings_do",
    )
    yield Guard(
        "a farm has so many miners",
        "cloud/store/growth.py",
        "return max(0, min(left, self._miners.left(farm_id)))",
        "return max(0, self._miners.left(farm_id))",
        f"{growth}a_farm_has_so_many_miners_whoever_tells_of_them",
    )
    yield Guard(
        "a farm has so many new miners a minute",
        "cloud/store/growth.py",
        "return max(0, min(left, self._miners.left(farm_id)))",
        "return max(0, left)",
        f"{growth}new_miners_are_so_many_a_minute_and_known_ones_go_on",
    )
    yield Guard(
        "tasks of the site are so many a day",
        "cloud/store/growth.py",
        "        if not self._tasks.left(agent_id):",
        "        if False:",
        f"{growth}tasks_that_arise_on_site_are_so_many_a_day_and_the_others_come_later",
    )
    yield Guard(
        "of one task so many events are kept",
        "cloud/store/tasks/reports.py",
        "elif kept[event.task_id] >= limits.events and not _moves(task, event):",
        "elif False:",
        f"{growth}of_one_task_so_many_events_are_kept_and_its_end_always",
    )
    yield Guard(
        "what goes ended long ago by its stamp",
        "cloud/store/tasks/sweeps.py",
        "            tasks.c.ended_at < now - timedelta(days=kept_days),\n",
        "",
        f"{pruning}what_is_open_or_ends_only_now_stays_however_old_it_is",
    )
    yield Guard(
        "what goes is old by the cloud's own time",
        "cloud/store/tasks/sweeps.py",
        "            tasks.c.queue_expires_cloud_s < before_s,\n",
        "",
        f"{pruning}a_clock_that_is_set_forward_removes_nothing",
    )
    yield Guard(
        "what goes has no file that is kept",
        "cloud/store/tasks/sweeps.py",
        "            ~sa.exists().where(task_files.c.task_id == tasks.c.id),\n",
        "",
        f"{pruning}a_task_whose_file_is_kept_stays_as_long_as_that",
    )
    yield Guard(
        "the watchdog is not fed where rounds do not end",
        "cloud/watchdog.py",
        "        if not stalled:\n",
        "        if True:\n",
        "tests/cloud/test_watchdog.py::test_rounds_that_do_not_end_any_more_stop_the_feeding",
    )
    yield Guard(
        "the cloud is started again for ever",
        "systemd/miner-cloud.service",
        "StartLimitIntervalSec=0\n",
        "",
        "tests/agent/host/test_systemd.py::test_each_is_watched_bounded_and_started_again_for_ever",
    )
    yield Guard(
        "a folder has one process",
        "service/files.py",
        "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        f"{files}a_folder_has_one_process_at_a_time",
    )
    yield Guard(
        "a database that others could read is shut",
        "service/files.py",
        "            shut(path.with_name(path.name + suffix))",
        "            pass",
        f"{files}one_that_others_could_read_is_shut_and_keeps_its_content",
    )


def _releases() -> Iterator[Guard]:
    bundle, trust = "tests/release/test_bundle.py::test_", "tests/release/test_trust.py::test_"
    staged, agent = "tests/release/test_verification.py::test_", "tests/agent/update"
    staging, attacks = f"{agent}/test_staging.py::test_", f"{agent}/test_attacks.py::test_"
    commands = "tests/cloud/release/test_commands.py::test_"
    shown = "tests/cloud/release/test_serving.py::test_"
    yield Guard(
        "a header is compared, not interpreted",
        "release/archive.py",
        "if header(*found, int(mtime[1], 8)) != block:",
        "if False:",
        f"{bundle}an_archive_of_any_other_form_is_refused",
    )
    yield Guard(
        "nothing hides behind a file of a bundle",
        "release/archive.py",
        "if _exactly(source, -size % BLOCK) != padding(size):",
        "if len(_exactly(source, -size % BLOCK)) != len(padding(size)):",
        f"{bundle}nothing_hides_in_the_filling_between_files",
    )
    yield Guard(
        "nothing follows the last file of a bundle",
        "release/archive.py",
        "            _end(source)\n",
        "",
        f"{bundle}an_archive_that_ends_early_or_late_is_refused",
    )
    yield Guard(
        "a wheel has the hash of the manifest",
        "release/bundle.py",
        "if digest.hexdigest() != wheel.sha256:",
        "if False:",
        f"{bundle}each_wheel_is_the_one_of_the_manifest",
    )
    yield Guard(
        "a bundle holds what its manifest names, and no more",
        "release/bundle.py",
        "if (extra := next(found, None)) is not None:",
        "if (extra := next(found, None)) is None and False:",
        f"{bundle}the_wheels_are_those_of_the_manifest_in_their_order",
    )
    yield Guard(
        "a field of a manifest that is not known is refused",
        "release/manifest.py",
        "kw_only=True, forbid_unknown_fields=True",
        "kw_only=True",
        f"{bundle}a_bad_manifest_is_refused",
    )
    yield Guard(
        "what nobody signed is refused",
        "release/trust.py",
        'if signed.to_dict() != json.loads(data)["signed"]:',
        "if False:",
        f"{trust}what_is_in_a_file_and_not_signed_is_refused",
    )
    yield Guard(
        "a clock far ahead is not believed",
        "release/moment.py",
        """            return self._passed
        return max""",
        """            return self._clock
        return max""",
        f"{trust}a_clock_that_cannot_be_right_is_named_and_not_obeyed",
    )
    yield Guard(
        "a clock that is behind is not believed",
        "release/moment.py",
        "return max(self._clock, self._passed)",
        "return self._clock",
        f"{trust}what_had_expired_before_it_was_signed_again_is_refused_by_any_clock",
    )
    yield Guard(
        "what was believed before is what an older repository is known by",
        "release/trust.py",
        "kept = self._kept.get(TIMESTAMP)",
        "kept = None",
        f"{trust}an_older_timestamp_is_refused_beside_the_same_snapshot",
    )
    yield Guard(
        "whoever installs follows no link of the agent",
        "service/opening.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC",
        f"{staged}a_link_is_not_followed",
    )
    yield Guard(
        "an older release is not taken",
        "release/verification.py",
        "if version_order(version) <= version_order(installed.version):",
        "if False:",
        f"{staged}only_a_newer_release_is_taken",
    )
    yield Guard(
        "a release that leaves no way back is not staged",
        "agent/update/staging.py",
        "if NEWEST not in reads:",
        "if False:",
        "tests/agent/update/test_staging.py::test_a_release_that_would_leave_no_way_back_is_not_staged",
    )
    yield Guard(
        "a release that is not proven leaves the journal's form alone",
        "agent/journal/schema.py",
        "    if may_step:\n",
        "    if True:\n",
        "tests/agent/journal/test_versions.py::test_each_works_on_tables_that_the_release_before_knows_until_it_is_proven",
    )
    yield Guard(
        "a journal of too long ago is not worked on without proof",
        "agent/journal/schema.py",
        "elif version < newest - 1:",
        "elif False:",
        "tests/agent/journal/test_versions.py::test_without_proof_a_journal_is_worked_on_exactly_where_the_bundle_says_so",
    )
    yield Guard(
        "without its link no release is proven",
        "service/install/own.py",
        "is_proven=(home / PROVEN).resolve() == place",
        "is_proven=True",
        "tests/service/install/test_own.py::test_a_release_is_what_its_stamp_says_and_proven_by_the_link_alone",
    )
    yield Guard(
        "a release whose files were changed fails its self-test",
        "agent/selftest/checks.py",
        "if digest(own.place) != own.sha256:",
        "if False:",
        "tests/agent/selftest/test_selftest.py::test_files_of_a_release_that_are_not_those_of_its_stamp_fail_it",
    )
    yield Guard(
        "a self-test leaves room to the agent",
        "agent/selftest/copies.py",
        "if free < needed:",
        "if False:",
        "tests/agent/selftest/test_selftest.py::test_a_full_disk_fails_it_before_anything_is_copied",
    )
    yield Guard(
        "a miner of an unknown make costs itself alone",
        "agent/miners/known.py",
        'except msgspec.DecodeError as error:\n        log.warning("inventory.unreadable"',
        'except ZeroDivisionError as error:\n        log.warning("inventory.unreadable"',
        "tests/agent/update/test_going_back.py::test_miners_that_are_known_though_one_is_of_a_make_that_is_not",
    )
    yield Guard(
        "a release for another platform is not taken",
        "release/verification.py",
        "if platform != installed.platform:",
        "if False:",
        f"{staged}a_bundle_for_another_platform_is_refused",
    )
    yield Guard(
        "a bundle is the one that its name was signed for",
        "release/verification.py",
        "if path != bundle_path(manifest.version, manifest.platform):",
        "if False:",
        f"{staged}a_bundle_that_is_signed_under_the_name_of_another_is_refused",
    )
    yield Guard(
        "a bundle by its url is signed by a pinned key",
        "release/signature.py",
        "            except InvalidSignature:\n                continue",
        "            except InvalidSignature:\n                return",
        f"{staging}a_bundle_by_its_url_needs_the_signature_of_a_pinned_key",
    )
    yield Guard(
        "metadata that comes slowly ends at a deadline",
        "agent/update/staging.py",
        "async with asyncio.timeout(seconds):",
        "async with asyncio.timeout(None):",
        f"{attacks}a_slow_drip_ends_at_the_deadline",
    )
    yield Guard(
        "the room on the disk is looked at first",
        "agent/update/staging.py",
        "        if needed > room:",
        "        if False:",
        f"{staging}a_disk_without_room_refuses_before_anything_is_fetched",
    )
    order = f"{agent}/test_order.py::test_"
    yield Guard(
        "an update that is done is what the process itself says",
        "agent/update/verdict.py",
        "if runs_it and is_it else None",
        "if True else None",
        f"{order}done_by_root_alone_is_not_done",
    )
    yield Guard(
        "an update that root calls not done does not run",
        "agent/update/verdict.py",
        "    if runs_it:\n        return None  # the release before",
        "    if False:\n        return None  # the release before",
        f"{order}not_done_by_root_is_not_believed_of_the_release_that_runs",
    )
    yield Guard(
        "without a word of root only a proven release is done",
        "agent/update/verdict.py",
        "if own.is_proven else None",
        "if True else None",
        f"{order}without_a_word_of_root_the_process_itself_tells",
    )
    yield Guard(
        "no link leads to what root says",
        "service/opening.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC",
        f"{order}odd_outcomes_are_not_used_and_that_is_said",
    )
    yield Guard(
        "what root says was written by root",
        "agent/update/root_installer.py",
        "if found.st_uid != uid:",
        "if False:",
        f"{order}odd_outcomes_are_not_used_and_that_is_said",
    )
    yield Guard(
        "nobody else may write what root says",
        "agent/update/root_installer.py",
        "if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):",
        "if False:",
        f"{order}odd_outcomes_are_not_used_and_that_is_said",
    )
    yield Guard(
        "what root says has a bound",
        "agent/update/root_installer.py",
        "if len(data) > READ_BYTES:",
        "if False:",
        f"{order}odd_outcomes_are_not_used_and_that_is_said",
    )
    yield Guard(
        "an order is judged by its own outcome",
        "agent/update/root_installer.py",
        "if each.task == task), None",
        "if True), None",
        f"{order}the_outcome_of_another_order_says_nothing_of_this_one",
    )
    yield Guard(
        "one update at a time",
        "agent/update/updates.py",
        "        if busy is not None:",
        "        if False:",
        f"{order}one_that_root_still_has_to_do_with_keeps_the_next_from_beginning",
    )
    yield Guard(
        "a request that nobody took is taken back",
        "agent/tasks/update_executor.py",
        "                await self._withdraw(task)\n",
        "",
        f"{order}a_request_that_nobody_takes_is_taken_back_at_the_limit",
    )
    yield Guard(
        "an update that was begun is only watched",
        "agent/tasks/executor.py",
        """        if task.state is State.INTENT:
            return await self._updates.watch(task)
""",
        "",
        f"{order}an_agent_that_died_after_it_asked_goes_on_watching",
    )
    yield Guard(
        "root's installer is asked when the cloud has granted it",
        "agent/tasks/update_executor.py",
        "            await permit.ask_grant()\n",
        "            task.granted = True\n",
        f"{order}the_intent_and_the_grant_come_before_the_request",
    )
    yield Guard(
        "an agent that nobody looks after fetches nothing",
        "agent/update/updates.py",
        "if why is not None or self.own is None:",
        "if self.own is None:",
        f"{order}an_agent_that_is_not_managed_names_the_command",
    )
    yield Guard(
        "a masked unit is none",
        "agent/update/managed.py",
        "if unit.is_symlink() and unit.readlink() == _MASKED:",
        "if False:",
        f"{order}a_unit_that_is_masked_is_none",
    )
    yield Guard(
        "a signed bundle needs a key that is pinned",
        "agent/update/updates.py",
        "if order.binary_url is not None and not self._config.update.keys:",
        "if False:",
        f"{order}a_bundle_of_a_pinned_key_comes_from_any_url",
    )
    yield Guard(
        "the repository is asked by https",
        "agent/config/update.py",
        "None if url is None else check_releases_url(url)",
        "url",
        "tests/agent/config/test_file.py::test_a_mistake_is_named_with_its_key",
    )
    yield Guard(
        "a signed version has one content",
        "cloud/release/offline.py",
        "if known is not None and known.hashes != entry.hashes:",
        "if False:",
        f"{commands}a_version_has_one_content",
    )
    yield Guard(
        "what is published was looked at as an agent does",
        "cloud/release/online.py",
        "        self._believed(files | fresh, roots[0], now)\n",
        "",
        f"{commands}what_no_agent_would_believe_is_not_published",
    )
    yield Guard(
        "a key that others could read is not used",
        "cloud/release/keys.py",
        "if is_open_to_others(path.stat()):",
        "if False:",
        f"{commands}a_key_that_lies_open_is_not_used",
    )
    yield Guard(
        "releases are served without following links",
        "cloud/release/api.py",
        "if whole.is_symlink() or not whole.is_file():",
        "if not whole.is_file():",
        f"{shown}no_link_is_followed",
    )


def _dispatch() -> Iterator[Guard]:
    ledger = "tests/cloud/subscriptions/test_ledger.py::test_"
    dispatch = "tests/cloud/subscriptions/test_dispatch.py::test_"
    announced = "tests/cloud/subscriptions/test_announced.py::test_"
    file = "cloud/store/subscriptions/ledger.py"
    yield Guard(
        "an entry is signed by the key of its node",
        file,
        "and is_signed(request.public_key, each.data, each.signature)",
        "",
        f"{ledger}forged_signatures_and_bytes_that_are_no_entry_are_invalid",
    )
    yield Guard(
        "an entry names the badge of its key",
        file,
        "entry.badge == badge",
        "True",
        f"{ledger}what_is_signed_and_not_of_this_node_or_ledger_is_invalid",
    )
    yield Guard(
        "an entry has only numbers that a column holds",
        file,
        "return max(numbers) <= SMALL_MAX",
        "return True",
        f"{ledger}what_is_signed_and_not_of_this_node_or_ledger_is_invalid",
    )
    yield Guard(
        "an entry is of the agent's own workspace",
        file,
        "entry.ledger_id != chain.agent.workspace_id or ",
        "",
        f"{ledger}entries_of_another_workspace_are_invalid",
    )
    yield Guard(
        "entries of another agent, and of a key that was given up, are good for nobody",
        file,
        " or chain.is_closed:",
        ":",
        f"{ledger}entries_of_another_agent_are_good_for_nobody_else",
    )
    yield Guard(
        "an entry follows the one before",
        file,
        " or entry.previous != (chain.head or NO_ENTRY):",
        ":",
        f"{ledger}a_fork_is_a_conflict",
    )
    yield Guard(
        "entries are so many a day",
        "cloud/store/growth.py",
        "        if not self._entries.left(agent_id):",
        "        if False:",
        f"{ledger}a_token_cannot_fill_the_ledger_without_end",
    )
    yield Guard(
        "an agent is so many nodes of another ledger",
        "cloud/store/subscriptions/announced.py",
        "        if len(named | known.keys()) > NODES_MAX:",
        "        if False:",
        f"{announced}an_agent_is_no_more_nodes_than_one_may_be",
    )
    yield Guard(
        "an announcement counts once",
        "cloud/store/subscriptions/announced.py",
        "        if message.sequence <= last:",
        "        if False:",
        f"{announced}an_announcement_counts_once_and_in_its_order",
    )
    yield Guard(
        "what is unsubscribed goes to nobody",
        "cloud/store/subscriptions/judged.py",
        "        (taken.c.valid == sa.false(), HeldReason.NOT_SUBSCRIBED.value),\n",
        "",
        f"{dispatch}an_unsubscribe_lets_what_runs_end_and_holds_the_next_until_it_is_taken_back",
    )
    yield Guard(
        "an order costs no more than it may",
        "cloud/store/subscriptions/judged.py",
        "        (taken.c.price > counted.c.max_price, HeldReason.PRICE_OVER_CAP.value),\n",
        "",
        f"{dispatch}an_order_costs_no_more_than_it_may",
    )
    yield Guard(
        "a stack is no larger than its agent takes",
        "cloud/store/subscriptions/dispatch.py",
        "            .limit(_MOST)\n",
        "",
        f"{dispatch}a_batch_goes_out_in_stacks_one_after_the_other",
    )
    yield Guard(
        "stacks of one batch come one after another",
        "cloud/store/subscriptions/dispatch.py",
        "_ALL.c.batch_id.not_in(_busy())",
        "sa.true()",
        f"{dispatch}a_batch_goes_out_in_stacks_one_after_the_other",
    )


def _subscriptions() -> Iterator[Guard]:
    calls = "tests/agent/subscriptions/test_http.py::test_"
    ledger = "tests/agent/subscriptions/test_local.py::test_"
    store = "tests/agent/subscriptions/test_store.py::test_"
    config = "tests/agent/config/test_file.py::test_a_mistake_is_named_with_its_key"
    requests, http = "contract/subscription/requests.py", "agent/subscriptions/http.py"
    yield Guard(
        "a key of a call that is not known is refused",
        requests,
        'extra="forbid"',
        'extra="ignore"',
        f"{calls}a_field_that_is_wrong_is_named",
    )
    yield Guard(
        "a key that is given twice is refused",
        requests,
        "        if key in found:",
        "        if False:",
        f"{calls}what_is_no_call_is_refused",
    )
    yield Guard(
        "a text, a fraction or a boolean is no small id",
        requests,
        "Field(strict=True, ge=SMALL_MIN, le=SMALL_MAX)",
        "Field(ge=SMALL_MIN, le=SMALL_MAX)",
        f"{calls}a_field_that_is_wrong_is_named",
    )
    yield Guard(
        "an elision is no object id",
        requests,
        "    parse_object_id(text)\n    return text",
        "    return text",
        f"{calls}a_field_that_is_wrong_is_named",
    )
    yield Guard(
        "another node than the agent's is refused",
        "agent/subscriptions/local.py",
        "            if not is_meant:",
        "            if False:",
        f"{ledger}another_node_than_this_agents_is_refused",
    )
    yield Guard(
        "no web page may call",
        http,
        'if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":',
        "if False:",
        f"{calls}a_web_page_may_not_call_by_way_of_a_browser_here",
    )
    yield Guard(
        "the host that is asked for is this one",
        http,
        'if not is_loopback(_host_of(headers.get("Host", ""))):',
        "if False:",
        f"{calls}a_web_page_may_not_call_by_way_of_a_browser_here",
    )
    yield Guard(
        "the token is the one that was set",
        http,
        "if scheme != _SCHEME or not is_ours:",
        "if False:",
        f"{calls}a_token_is_asked_for_where_one_is_set",
    )
    yield Guard(
        "a body has an end",
        http,
        "            if len(body) > BODY_MAX:",
        "            if False:",
        f"{calls}a_body_in_pieces_without_end_is_cut",
    )
    yield Guard(
        "there are so many connections at most",
        http,
        "if len(self._web.connections) + len(self._arriving) >= CONNECTIONS_MOST:",
        "if False:",
        f"{calls}as_many_connections_as_may_are_taken_and_idle_ones_go",
    )
    yield Guard(
        "elsewhere than on loopback a token is needed",
        "agent/config/subscriptions.py",
        "        if self.token_file is None:",
        "        if False:",
        config,
    )
    yield Guard(
        "elsewhere than on loopback nothing is told in the clear",
        "agent/config/subscriptions.py",
        "        if self.tls_cert is None and not self.behind_proxy:",
        "        if False:",
        config,
    )
    yield Guard(
        "others cannot read the key",
        "agent/subscriptions/key.py",
        "    if is_open_to_others(found):",
        "    if False:",
        f"{ledger}a_key_that_cannot_be_used_signs_nothing",
    )
    yield Guard(
        "what is learned was signed by our key",
        "agent/subscriptions/chain.py",
        "        if not is_signed(key.public, each.data, each.signature):",
        "        if False:",
        f"{ledger}entries_that_our_key_never_signed_are_not_learned",
    )
    yield Guard(
        "an entry is on disk before it is sent",
        "agent/subscriptions/local.py",
        "        await self._store.add(entry)\n",
        "",
        f"{ledger}an_answer_that_is_lost_is_settled_as_what_the_cloud_holds",
    )
    yield Guard(
        "what may have been refused is never sent again",
        "agent/subscriptions/shared.py",
        "        if last.kind not in (OperationKind.VOID, OperationKind.REGISTER):",
        "        if False:",
        f"{ledger}what_never_arrived_is_a_failure_for_ever_even_if_it_comes_later",
    )
    yield Guard(
        "a chain belongs to one workspace",
        "agent/subscriptions/shared.py",
        "            if head.ledger_id not in (None, state.ledger_id):",
        "            if False:",
        f"{ledger}an_agent_of_another_workspace_signs_nothing_there",
    )
    yield Guard(
        "two chains of one key are a fork",
        "agent/subscriptions/shared.py",
        "            elif head.sequence and state.head != head.hash:",
        "            elif False:",
        f"{ledger}two_memories_that_went_different_ways_are_a_fork_with_a_way_out",
    )
    yield Guard(
        "a success stays one",
        "agent/subscriptions/store.py",
        '"AND status <> ?5 AND (status = ?6 OR ?1 = ?5) RETURNING ledger",',
        '"AND ?5 = ?5 AND ?6 = ?6 RETURNING ledger",',
        f"{store}subscriptions_change_with_a_success_alone",
    )
    yield Guard(
        "failures are kept up to a number",
        "agent/subscriptions/store.py",
        "                _drop_failures(db, ledger)",
        "                pass",
        f"{store}the_oldest_failures_go",
    )


def _sui() -> Iterator[Guard]:
    """Of the ledger on a Sui network."""
    room = "agent/subscriptions/sui/"
    keys = "tests/agent/subscriptions/sui/test_keys.py::test_"
    start = "tests/agent/subscriptions/sui/test_start.py::test_"
    ledger = "tests/agent/subscriptions/sui/test_ledger.py::test_"
    crash = "tests/agent/subscriptions/sui/test_crash.py::test_"
    hostile = "tests/agent/subscriptions/sui/test_hostile.py::test_"
    yield Guard(
        "a transaction is settled by an outcome of its own digest alone",
        f"{room}chain.py",
        "if effects is not None and effects.digest != tx_digest:",
        "if False:",
        f"{hostile}what_became_of_another_transaction_settles_nothing",
    )
    yield Guard(
        "a transaction is settled by the network that it was made for",
        f"{room}settling.py",
        "if chain_id != record.chain_id:",
        "if False:",
        f"{start}another_network_that_answers_meanwhile_settles_nothing",
    )
    yield Guard(
        "a keystore is its owner's alone",
        f"{room}keys.py",
        "if stat.S_IMODE(found.st_mode) & ~0o600:",
        "if False:",
        f"{keys}a_keystore_that_others_may_use_is_refused",
    )
    yield Guard(
        "a keystore belongs to who signs with it",
        f"{room}keys.py",
        "if found.st_uid != os.geteuid():",
        "if False:",
        f"{keys}a_keystore_of_somebody_else_is_refused",
    )
    yield Guard(
        "a key in bech32 has its checksum",
        f"{room}bech32.py",
        "if _polymod(expanded + values) != 1:",
        "if False:",
        f"{keys}each_changed_character_of_a_bech32_key_is_noticed",
    )
    yield Guard(
        "GraphQL over plain http goes to this host alone",
        "agent/config/sui.py",
        "return check_graphql_url(url)",
        "return url",
        f"{start}a_section_that_cannot_be_meant_is_refused",
    )
    yield Guard(
        "another network than before signs nothing",
        f"{room}deployment.py",
        "if wanted not in (None, found):",
        "if False:",
        f"{start}another_network_than_before_is_noticed_and_may_be_meant",
    )
    yield Guard(
        "the shared object is of the package",
        f"{room}deployment.py",
        "if plain_type(found.type) != plain_type(type_name):",
        "if False:",
        f"{start}a_config_that_does_not_fit_the_network_is_refused",
    )
    yield Guard(
        "a call interface that is not known is not used",
        f"{room}deployment.py",
        "if parameters not in SUBSCRIBE_PARAMETERS:",
        "if False:",
        f"{start}a_call_interface_that_is_not_known_is_refused_unless_it_is_named",
    )
    yield Guard(
        "no redirect is followed with what is signed",
        f"{room}graphql.py",
        "allow_redirects=False,",
        "allow_redirects=True,",
        f"{ledger}an_answer_is_taken_from_the_endpoint_itself_and_as_far_as_it_may_go",
    )
    yield Guard(
        "an answer of gigabytes is not read to its end",
        f"{room}graphql.py",
        "while len(content) <= REPLY_CAP and (more",
        "while (more",
        f"{ledger}an_answer_is_taken_from_the_endpoint_itself_and_as_far_as_it_may_go",
    )
    yield Guard(
        "what would fail is not signed",
        f"{room}ledger.py",
        "if not would.succeeded:",
        "if False:",
        f"{ledger}what_the_package_does_not_take_is_neither_signed_nor_stored",
    )
    yield Guard(
        "nothing is signed before it is known what became of the last",
        f"{room}ledger.py",
        "                await self._settle_pending()\n                return",
        "                return",
        f"{ledger}an_answer_that_was_lost_is_found_by_its_digest_and_never_signed_again",
    )
    yield Guard(
        "a row is on disk before its transaction is sent",
        f"{room}ledger.py",
        "            await self._store.add_again(row)\n            outcome = await self._send(row)",
        "            outcome = await self._send(row)\n            await self._store.add_again(row)",
        f"{crash}killed_while_it_is_sent_it_is_done_once_and_known",
    )
    yield Guard(
        "one transaction at a time",
        f"{room}ledger.py",
        "self._lock = asyncio.Lock()",
        "self._lock = asyncio.Semaphore(9)",
        f"{ledger}requests_at_once_are_executed_one_after_the_other",
    )
    yield Guard(
        "the newer of two sights of an object counts",
        f"{room}wallet.py",
        "return seen if left and seen and seen.ref.version > left.ref.version else left",
        "return seen",
        f"{ledger}reads_that_lag_behind_do_no_harm",
    )
    yield Guard(
        "what somebody else spent can never be executed",
        f"{room}settling.py",
        "and seen.made_by not in (None, tx_digest)",
        "and False",
        f"{crash}what_can_never_be_executed_any_more_is_a_failure",
    )
    yield Guard(
        "what changed an object is not taken for another",
        f"{room}settling.py",
        "seen.made_by not in (None, tx_digest)",
        "True",
        f"{crash}a_read_of_the_outcome_that_lags_behind_that_of_the_objects_does_no_harm",
    )
    yield Guard(
        "gas is paid by a coin that holds the budget",
        f"{room}wallet.py",
        "if balance_of(coin) < budget:",
        "if False:",
        f"{ledger}gas_is_paid_as_it_is_asked",
    )
    yield Guard(
        "a price that the package has no number for is refused",
        f"{room}calls.py",
        "if price > SMALL_MAX:",
        "if False:",
        f"{ledger}the_newer_package_is_recognised_and_keeps_a_price_per_million",
    )


def _updates() -> Iterator[Guard]:
    turns, orders = (
        "tests/cloud/updates/test_turns.py::test_",
        "tests/cloud/updates/test_orders.py::test_",
    )
    yield Guard(
        "nobody follows before the first one is proven",
        "cloud/updates/turns.py",
        "    if not all(task.is_proven for task in found if task.is_first):\n        return NextTurn()\n",
        "",
        f"{turns}one_goes_first_and_the_others_in_turns_once_it_is_proven",
    )
    yield Guard(
        "nobody follows one that is not proven",
        "cloud/updates/turns.py",
        "    if failed is not None:\n        return NextTurn(failed=failed)\n",
        "",
        f"{turns}a_first_one_that_is_not_proven_stops_all_others",
    )
    yield Guard(
        "so many agents are updated at a time",
        "cloud/updates/turns.py",
        "waiting[: max(0, at_once - under_way)]",
        "waiting",
        f"{turns}fifty_agents_ten_at_a_time",
    )
    yield Guard(
        "nobody follows before all have told what they know",
        "cloud/updates/turns.py",
        "not (agents_had_time or _have_told(each, found, confirmed))",
        "False",
        f"{turns}a_database_put_back_from_a_copy_lets_nobody_go_beside_one_that_has_begun",
    )
    yield Guard(
        "what is called off is not let go",
        "cloud/updates/turns.py",
        " and task.cancel_requested_at is None",
        "",
        f"{turns}one_that_is_called_off_before_it_is_heard_of_again_is_not_let_go",
    )
    yield Guard(
        "those that are not there come last",
        "cloud/updates/turns.py",
        "    waiting.sort(key=lambda task: not is_online(task.agent_id, task.last_online_cloud_s))\n",
        "",
        f"{turns}those_that_are_offline_when_their_turn_comes_come_last",
    )
    yield Guard(
        "the first one has so long to begin",
        "cloud/updates/orders.py",
        '({"queue_expires_cloud_s": begin_by_cloud_s} if is_first else {})',
        "{}",
        f"{turns}a_first_one_that_goes_offline_has_a_limit_and_then_all_others_end",
    )
    yield Guard(
        "an update of another number of agents is refused",
        "cloud/updates/orders.py",
        "        _check_count(body, choice)\n",
        "",
        f"{orders}an_order_that_cannot_be_meant_so_is_refused_and_stores_nothing",
    )
    yield Guard(
        "a farm of another workspace has no agents to update",
        "cloud/updates/orders.py",
        " or known[each].workspace_id != request[WORKSPACE_ID]",
        "",
        f"{orders}another_workspace_has_no_say_and_sees_nothing",
    )
    yield Guard(
        "an update of another workspace is not found",
        "cloud/store/tasks/updates.py",
        "return [task_groups.c.workspace_id == workspace_id, ",
        "return [",
        f"{orders}another_workspace_has_no_say_and_sees_nothing",
    )
    yield Guard(
        "an agent that runs from no release is not updated",
        "cloud/updates/choice.py",
        "    if not each.release:\n",
        "    if False:\n",
        f"{orders}who_is_skipped_is_told_with_the_reason",
    )
    yield Guard(
        "one that cannot be updated does not go first",
        "cloud/updates/choice.py",
        "            if each.id == first:\n",
        "            if False:\n",
        f"{orders}who_is_skipped_is_told_with_the_reason",
    )


def _updating() -> Iterator[Guard]:
    folder, making = "agent/installer/agentfolder.py", "agent/installer/making.py"
    machine, watch = "agent/installer/machine.py", "agent/installer/watch.py"
    root = "tests/agent/installer/test_agentfolder.py::test_"
    test = "tests/agent/installer/test_machine.py::test_"
    swept = "tests/agent/installer/test_sweep.py::test_it_ends_on_a_release_that_runs_and_with_a_true_outcome"
    yield Guard(
        "root follows no link on the way to what the agent laid ready",
        "service/opening.py",
        "os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC",
        "os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC",
        f"{root}no_link_is_followed_on_the_way",
    )
    yield Guard(
        "root reads no file behind a link of the agent",
        "service/opening.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC",
        f"{root}nothing_but_plain_files_of_their_own_is_taken",
    )
    yield Guard(
        "root takes no file that has another name, too",
        folder,
        " or found.st_nlink != 1",
        "",
        f"{root}nothing_but_plain_files_of_their_own_is_taken",
    )
    yield Guard(
        "root takes no request away in another folder",
        folder,
        "disk.unlink(self._path / where, folder=folder)",
        "disk.unlink(self._path / where)",
        f"{root}a_link_to_another_folder_has_nothing_unlinked_there",
    )
    yield Guard(
        "root lists a folder of the agent so far and no further",
        folder,
        "if number > _NAMES_MOST or len(found) > _FILES_MOST:",
        "if False:",
        f"{root}a_folder_without_an_end_is_not_listed_to_its_end",
    )
    yield Guard(
        "a task has an id that leads nowhere",
        folder,
        "if found is None or not _TASK.fullmatch(found.task):",
        "if found is None:",
        f"{root}what_is_no_request_names_no_task",
    )
    yield Guard(
        "a request names a version that leads nowhere",
        folder,
        "if not _WHOLE_VERSION.fullmatch(found.version) or not _SHA256.fullmatch(found.sha256):",
        "if False:",
        f"{root}a_task_whose_request_leads_elsewhere_is_refused",
    )
    yield Guard(
        "the bundle is the one that was asked for",
        making,
        "if found != (request.version, request.sha256):",
        "if False:",
        f"{test}another_bundle_than_the_one_that_was_asked_for_is_refused",
    )
    yield Guard(
        "the bundle is for the Python of this host",
        making,
        "if manifest.python != PYTHON:",
        "if False:",
        f"{test}a_bundle_for_another_host_is_refused",
    )
    yield Guard(
        "an update looks for room first",
        making,
        "if free < needed + RESERVE:",
        "if False:",
        f"{test}a_full_disk_refuses_before_anything_is_changed",
    )
    yield Guard(
        "a release is on the disk before it has its name",
        making,
        "        disk.sync_all()\n",
        "",
        swept,
    )
    yield Guard(
        "how an update ends is on the disk before it is said",
        machine,
        "            return self._book.write(record, UpdateStep.ENDED, outcome=outcome)\n        except",
        "            return msgspec.structs.replace(record, step=UpdateStep.ENDED, outcome=outcome)\n        except",
        f"{test}what_was_said_to_be_refused_is_not_done_after_all",
    )
    yield Guard(
        "a task has one outcome",
        machine,
        "        if self._book.has_ended(request.task):\n",
        "        if False:\n",
        f"{test}a_task_has_one_outcome_whatever_is_asked_for_again",
    )
    yield Guard(
        "a release that takes the host down is given up",
        machine,
        "if record.tries >= TRIES_MOST:",
        "if False:",
        f"{test}a_release_that_takes_the_host_down_each_time_is_given_up",
    )
    yield Guard(
        "what somebody else installed is left alone",
        watch,
        "if not is_led_to():",
        "if False:",
        f"{test}a_release_that_somebody_installs_meanwhile_is_left_alone",
    )
    yield Guard(
        "what a process says counts if systemd shows it",
        watch,
        "and (said.pid, said.invocation) == (unit.pid, unit.invocation)",
        "and True",
        f"{test}what_another_process_says_does_not_count",
    )
    yield Guard(
        "a release has to stay as it is for a while",
        watch,
        "passed_s - calm[1] >= self._limits.settle_s",
        "True",
        f"{test}what_dies_before_it_settled_is_not_proven",
    )
    yield Guard(
        "a crash loop is gone back from at once",
        watch,
        "if _restarts(seen.unit, before) > self._limits.restarts_most:",
        "if False:",
        f"{test}one_that_does_not_prove_itself_is_gone_back_from_within_its_limit",
    )


def _installing() -> Iterator[Guard]:
    steps, environment = "service/install/steps.py", "service/install/environment.py"
    test = "tests/service/install/test_steps.py::test_"
    yield Guard(
        "an older release is not put over a newer one",
        steps,
        "if self._present is not None and version_order(wanted) < version_order(self._present):",
        "if False:",
        f"{test}two_releases_stay_and_an_older_one_is_not_put_over_a_newer",
    )
    yield Guard(
        "what a package brought is left to the package manager",
        steps,
        "if host.at(product.packaged).is_dir():",
        "if False:",
        f"{test}what_a_package_brought_is_left_to_the_package_manager",
    )
    yield Guard(
        "a file of another is not written over",
        steps,
        "if (there.exists() or there.is_symlink()) and not _leads_to(there, to):",
        "if False:",
        f"{test}what_is_not_ours_is_left_in_its_place",
    )
    yield Guard(
        "a disk without room is said first",
        steps,
        "if self._lacks_release() and free < needed:",
        "if False:",
        f"{test}a_disk_that_is_full_is_said_before_anything_is_written",
    )
    yield Guard(
        "a checkout is not what root's service runs",
        environment,
        "if is_editable(found):",
        "if False:",
        f"{test}a_checkout_is_not_what_root_s_service_runs",
    )
    yield Guard(
        "a Python that services do not see is refused",
        environment,
        "if any(whole.is_relative_to(each) for each in _HIDDEN):",
        "if False:",
        f"{test}a_python_that_services_do_not_see_is_refused",
    )
    yield Guard(
        "a Python that others can change is refused",
        environment,
        "if found.st_uid != 0 or stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):",
        "if False:",
        f"{test}a_python_that_others_can_change_is_refused",
    )
    yield Guard(
        "a release loads nothing but itself",
        "service/install/release.py",
        "/bin/python3 -I",
        "/bin/python3",
        "tests/service/install/test_release.py::test_its_commands_run_at_its_place_and_load_nothing_else",
    )


def _wheels() -> Iterator[Guard]:
    wheel, wheels = "service/install/wheel.py", "service/install/wheels.py"
    test = "tests/service/install/test_wheels.py::test_"
    yield Guard(
        "a name in a wheel leads nowhere else",
        wheel,
        "if len(parts) > _PARTS_MOST or not all(map(_PART.fullmatch, parts)):",
        "if False:",
        f"{test}a_name_that_leads_elsewhere_is_refused",
    )
    yield Guard(
        "a wheel holds no link",
        wheel,
        "if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):",
        "if False:",
        f"{test}a_link_or_a_device_is_refused",
    )
    yield Guard(
        "a wheel is packed as wheels are",
        wheel,
        "if not packed or entry.flag_bits & _ENCRYPTED:",
        "if False:",
        f"{test}a_file_that_is_encrypted_or_packed_in_another_way_is_refused",
    )
    yield Guard(
        "a file is in a wheel once",
        wheel,
        "if each.filename in entries:",
        "if False:",
        f"{test}a_file_that_is_in_a_wheel_twice_is_refused",
    )
    yield Guard(
        "a wheel holds what its RECORD names, and no more",
        wheel,
        "if rows.keys() != entries.keys() or len(rows) != len(lines):",
        "if not rows.keys() >= entries.keys() and False:",
        f"{test}what_is_in_a_wheel_is_what_its_record_says",
    )
    yield Guard(
        "a file of a wheel has the hash of its RECORD",
        wheel,
        "if left != 0 or file.sha256 not in (None, digest.digest()):",
        "if left != 0:",
        f"{test}what_is_in_a_wheel_is_what_its_record_says",
    )
    yield Guard(
        "a RECORD speaks of sha256",
        wheel,
        'if way != "sha256" or len(found) != hashlib.sha256().digest_size:',
        "if False:",
        f"{test}what_is_in_a_wheel_is_what_its_record_says",
    )
    yield Guard(
        "the index of a wheel has an end",
        wheel,
        "if index_bytes > _INDEX_BYTES or index_at + index_bytes != size - _END.size:",
        "if False:",
        f"{test}an_index_that_is_beyond_all_measure_is_not_read",
    )
    yield Guard(
        "a wheel ends in one way",
        wheel,
        "if mark != _END_MARK or comment_bytes or last.startswith(_LARGE_MARK):",
        "if False:",
        f"{test}an_archive_that_says_its_end_in_two_ways_is_refused",
    )
    yield Guard(
        "a wheel does not write where another one did",
        wheels,
        "if place in self._files | self._folders or not self._files.isdisjoint(above):",
        "if False:",
        f"{test}no_wheel_writes_where_another_one_did",
    )
    yield Guard(
        "what a release expands to has an end",
        wheels,
        "if self._left < 0 or len(self._files) >= RELEASE_FILES:",
        "if len(self._files) >= RELEASE_FILES:",
        f"{test}what_expands_beyond_all_measure_is_refused_before_it_fills_the_disk",
    )
    yield Guard(
        "a release has only so many files",
        wheels,
        "if self._left < 0 or len(self._files) >= RELEASE_FILES:",
        "if self._left < 0:",
        f"{test}a_release_has_only_so_many_files",
    )
    yield Guard(
        "a library is for this processor",
        wheels,
        "if (found := _machine(there)) not in (_NO_MACHINE, self._machine):",
        "if (found := _machine(there)) is None:",
        f"{test}a_library_for_another_processor_is_refused",
    )
    yield Guard(
        "a wheel brings nothing that runs by itself",
        wheels,
        "if path.suffix in _NOT_TAKEN or COMPILED in path.parts:",
        "if False:",
        f"{test}what_python_would_run_without_its_source_is_refused",
    )
    yield Guard(
        "a wheel fills no folder but that of packages",
        wheels,
        "if kind not in _TAKEN:",
        "if False:",
        f"{test}a_file_for_another_folder_is_refused",
    )


def _recognition() -> Iterator[Guard]:
    tree = "drivers/recognition.py"
    test = "tests/drivers/recognition/test_tree.py::test_"
    yield Guard(
        "a host that lets two questions hang is asked nothing more",
        tree,
        "            if len(self._hung) < HANGS_CAP:",
        "            if True:",
        f"{test}a_host_that_takes_connections_and_says_nothing_costs_two_questions",
    )
    yield Guard(
        "an API that hangs is not asked as another",
        tree,
        "if port in self._away or len(self._hung) >= HANGS_CAP:",
        "if port in self._away:",
        f"{test}a_host_that_takes_connections_and_says_nothing_costs_two_questions",
    )
    yield Guard(
        "what answers as two makes is nobody's",
        tree,
        "if len(self._claims) > 1:",
        "if False:",
        "tests/drivers/test_registry.py::test_a_host_that_answers_every_port_as_everything_is_nothing",
    )
    yield Guard(
        "a host that listens on ports no make has together is asked as every make",
        tree,
        "if at.daemon_port in doors.open and doors.open & {at.v3_port, at.rpc_port}:",
        "if False:",
        "tests/drivers/test_registry.py::test_a_host_that_answers_every_port_as_everything_is_nothing",
    )
    yield Guard(
        "a miner of others is not asked on",
        tree,
        "elif names_other_maker(said):",
        "elif False:",
        f"{test}a_miner_of_graphics_cards_is_asked_its_version_and_no_more",
    )
    others = "tests/drivers/recognition/test_other_hosts.py::test_"
    yield Guard(
        "what speaks before it is asked is asked nothing",
        tree,
        "if said := self._doors.unasked():",
        'if said := b"":',
        f"{others}what_speaks_before_it_is_asked_is_asked_nothing",
    )
    yield Guard(
        "an AntMiner with another make's port is sent no login",
        tree,
        "if found is not None and self._is_doubtful:",
        "if False:",
        f"{others}one_with_the_ports_of_two_makes_is_none_and_is_sent_no_login",
    )
    yield Guard(
        "one with the ports of two makes tells its MAC or is nobody's",
        tree,
        "self._has_ports_of_two and claim.identity.mac is None",
        "False",
        f"{others}one_with_the_ports_of_two_makes_and_no_mac_is_nobodys",
    )
    yield Guard(
        "a page with the right title at every path is no IceRiver's",
        "drivers/iceriver/identify.py",
        "    except MalformedError:  # the same page at every path is another's, for all its title",
        "    except ():",
        f"{others}no_other_host_is_taken_for_a_miner_or_sent_more_than_a_read",
    )
    yield Guard(
        "a banner holds no control character",
        "drivers/stranger.py",
        r"[^\x20-\x7e]+",
        r"\x00+",
        f"{test}a_stranger_is_shown_by_what_it_said_first",
    )
    yield Guard(
        "a banner has a length",
        "drivers/stranger.py",
        "[:BANNER_CHARS].rstrip()",
        ".rstrip()",
        f"{test}a_stranger_is_shown_by_what_it_said_first",
    )
    yield Guard(
        "a connection that was there already and is dead is replaced",
        "drivers/link.py",
        "return not self.is_new and self.is_lost and not self._got_bytes",
        "return False",
        "tests/drivers/recognition/test_wire_doors.py::test_a_server_that_keeps_none_is_asked_on_new_ones",
    )
    yield Guard(
        "what comes after a reply is no answer to the next question",
        "drivers/protocol/http.py",
        "self.stays = len(self._buffer) == self._left and self._is_kept()",
        "self.stays = self._is_kept()",
        "tests/drivers/recognition/test_wire_doors.py::test_a_server_that_keeps_none_is_asked_on_new_ones",
    )


GUARDS = (
    *_parameters(),
    *_nonce(),
    *_rights(),
    *_passwords(),
    *_firmware(),
    *_certificates(),
    *_revocation(),
    *_library(),
    *_first_steps(),
    *_by_hand(),
    *_rigmonitor(),
    *_rigs(),
    *_miners(),
    *_limits(),
    *_assets(),
    *_orders(),
    *_login(),
    *_moves(),
    *_load(),
    *_releases(),
    *_dispatch(),
    *_subscriptions(),
    *_sui(),
    *_updates(),
    *_updating(),
    *_installing(),
    *_wheels(),
    *_recognition(),
)
