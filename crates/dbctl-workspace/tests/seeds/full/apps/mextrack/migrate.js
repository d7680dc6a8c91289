const applied = await sql('select name from _migrations');
