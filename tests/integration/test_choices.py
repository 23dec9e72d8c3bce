"""Forms where there is more to choose from than a list can hold."""

from sqlalchemy import text

from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]

MANY = 5000


def test_what_is_asked_for_is_chosen_however_many_releases_are_newer(world: ApiWorld) -> None:
    name = world.application("1.0")
    with world.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO releases (application_id, name, version, created_by) SELECT application_id, name,"
                " '2.' || i, created_by FROM releases, generate_series(1, :many) i WHERE name = :name"
            ),
            {"name": name, "many": MANY},
        )
    browser, _ = world.browser("deployer")
    page = browser.get(f"/deploy?application={name}&version=1.0&environment=staging").text
    assert "<option selected>1.0</option>" in page
    assert f"<option>2.{MANY}</option>" in page
    assert page.count("<option>2.") == 200
    assert f'the newest 200; an older one from <a href="/releases?name={name}">' in page
    assert f"Deploy {name} 1.0 to staging</button>" in page


def test_where_there_are_too_many_applications_for_a_list_any_can_be_typed(world: ApiWorld) -> None:
    name = world.application("1.0")
    browser, token = world.browser("operator")
    for path in ("/deploy", "/locks"):
        assert '<select name="application"' in browser.get(path).text
    with world.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO applications (name, owner_id)"
                " SELECT 'a-' || i, owner_id FROM applications, generate_series(1, 200) i WHERE name = :name"
            ),
            {"name": name},
        )
    field = '<input name="application" value="{}" maxlength="63" list="applications"'
    assert field.format(name) in browser.get(f"/deploy?application={name}").text
    page = browser.get("/locks").text
    assert field.format("") in page
    assert "<code>*</code> is all of them" in page
    form = {"form_token": token, "application": name, "reason": "it is the last of them"}
    assert browser.post("/locks", data=form, headers={"Origin": "http://localhost"}).status_code == 303
    assert "it is the last of them" in browser.get("/locks").text
