//! Kinds of files that instruments, solvers, weather services and surveys write, each made here small
//! after its kind: what a careful person reads, with no option given.

use super::{codes_of_warnings, numbers, read};
use std::fmt::Write as _;
use taqicfd::dataset::{ColumnKind, Reading};

/// `n` lines made by `line`.
fn lines(n: usize, mut line: impl FnMut(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut text, i| {
        writeln!(text, "{}", line(i)).unwrap();
        text
    })
}

/// Reads `text` and compares rows, names and units (empty where there is none).
fn check(kind: &str, text: &str, n_rows: usize, columns: &[(&str, &str)]) -> Reading {
    let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{kind}: {}", error.detail()));
    let found: Vec<(&str, &str)> = reading
        .table
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.unit.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!((reading.table.n_rows(), found.as_slice()), (n_rows, columns), "{kind}");
    reading
}

fn kinds(reading: &Reading) -> Vec<ColumnKind> {
    reading.table.columns.iter().map(|column| column.kind).collect()
}

#[test]
fn solvers() {
    let rows = lines(12, |i| format!("{i}.5\t(({i} 2 3) (4 5 {i}))"));
    let forces = format!("# Forces\n# CofR : (0 0 0)\n# Time forces(pressure viscous)\n{rows}");
    let names = [
        "Time",
        "forces_pressure_x",
        "forces_pressure_y",
        "forces_pressure_z",
        "forces_viscous_x",
        "forces_viscous_y",
        "forces_viscous_z",
    ];
    let columns: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
    let reading = check("OpenFOAM forces", &forces, 12, &columns);
    assert_eq!(numbers(&reading.table, "forces_viscous_z")[11], 11.0);

    let rows = lines(12, |i| format!("{i}.5      {i}.1      2.{i}"));
    let probes = format!("# Probe 0 (0.1 0 0)\n# Probe 1 (0.2 0 0)\n#   Probe   0   1\n#   Time\n{rows}");
    check("OpenFOAM probes", &probes, 12, &[("Time", ""), ("Probe 0", ""), ("Probe 1", "")]);

    let zone = |name: &str| format!("ZONE T=\"{name}\"\n{}", lines(6, |i| format!("{i} 0.{i} 1.{i}")));
    let tecplot =
        format!("TITLE=\"exp\"\nVARIABLES=\"alpha\" \"CL\" \"CD\"\n{}{}", zone("Re=1e5"), zone("Re=2e5"));
    let reading = check("Tecplot", &tecplot, 12, &[("alpha", ""), ("CL", ""), ("CD", ""), ("zone", "")]);
    assert_eq!(kinds(&reading)[3], ColumnKind::Category);

    let elements = lines(9, |i| format!("{} {}", i + 1, i + 2));
    let surface = format!(
        "VARIABLES = \"x\",\"Cp\"\nZONE NODES= 12, ELEMENTS= 9, DATAPACKING=POINT\n{}{elements}",
        lines(12, |i| format!("{i}.0\t0.{i}\t"))
    );
    let surface = surface.replace("\"x\",\"Cp\"", "\"x\",\"y\",\"Cp\"").replace(".0\t0.", ".0\t7\t0.");
    check("SU2 surface", &surface, 12, &[("x", ""), ("y", ""), ("Cp", "")]);

    let xy = format!(
        "(title \"Static Pressure\")\n(labels \"Position\" \"Static Pressure\")\n\n((xy/key/label \"wall\")\n{})\n",
        lines(12, |i| format!("{i}.1\t-{i}.2"))
    );
    check("Fluent plot", &xy, 12, &[("Position", ""), ("Static Pressure", "")]);

    let report = format!(
        "\"report-def-0-rfile\"\n\"Iteration\" \"report-def-0 etc..\"\n(\"Iteration\" \"drag\")\n{}",
        lines(12, |i| format!("{i} 0.{i}"))
    );
    check("Fluent report", &report, 12, &[("Iteration", ""), ("drag", "")]);

    let history = format!(
        "\"Iter\",     \"rms[Rho]\"     ,       \"CL\"         \n{}",
        lines(12, |i| format!("{i}, -{i}.5, 0.{i}"))
    );
    check("SU2 history", &history, 12, &[("Iter", ""), ("rms[Rho]", ""), ("CL", "")]);

    let airfoil =
        format!("NACA 0012\n{}", lines(20, |i| format!(" 0.{i:02}  {}", f64::from(i as u32) / 7.0)));
    let reading = check("airfoil", &airfoil, 20, &[("column_1", ""), ("column_2", "")]);
    assert_eq!(reading.description.read.header_row, None);
}

#[test]
fn instruments() {
    let rows = lines(20, |i| format!("\"2015-07-{:02} 00:00:00\",{i},{i}.25", 1 + i));
    let logger = format!(
        "\"TOA5\",\"stn\",\"CR1000\",\"1234\",\"std\",\"p\"\n\"TIMESTAMP\",\"RECORD\",\"AirTC_Avg\"\n\"TS\",\"RN\",\"Deg C\"\n\"\",\"\",\"Avg\"\n{rows}"
    );
    let reading =
        check("Campbell", &logger, 20, &[("TIMESTAMP", "TS"), ("RECORD", "RN"), ("AirTC_Avg", "Deg C")]);
    assert_eq!(kinds(&reading), [ColumnKind::Date, ColumnKind::Number, ColumnKind::Number]);
    assert_eq!((reading.description.read.header_row, reading.description.read.units_row), (Some(2), Some(3)));

    let scope = format!(
        "Model,TBS1052B,,\nFirmware,v1,,\nRecord Length,50,,\nSource,CH1,,\nTIME,CH1,,\n{}",
        lines(20, |i| format!("{i}e-6,0.{i},,"))
    );
    check("oscilloscope", &scope, 20, &[("TIME", ""), ("CH1", "")]);

    let rows = lines(20, |i| format!("0,{i:03}\t1,{i}\t2,{i}"));
    let lvm = format!(
        "LabVIEW Measurement\t\nSeparator\tTab\n***End_of_Header***\t\n\t\nChannels\t2\t\t\nSamples\t20\t20\t\nDate\t2013/02/19\t2013/02/19\t\nDelta_X\t0,001\t0,001\t\n***End_of_Header***\t\t\t\nX_Value\tV0\tV1\tComment\n{rows}"
    );
    check("LabVIEW", &lvm, 20, &[("X_Value", ""), ("V0", ""), ("V1", ""), ("Comment", "")]);

    let rows = lines(20, |i| format!("\t0.{i:03}\t\t2.{i}"));
    let gaps = format!(
        "LabVIEW Measurement\nSeparator\tTab\n***End_of_Header***\n\nSamples\t20\t20\t20\nDate\t2013/02/19\t2013/02/19\t2013/02/19\n***End_of_Header***\nX_Value\tV0\tV1\tV2\tComment\n{rows}"
    );
    let reading = check(
        "LabVIEW without a column",
        &gaps,
        20,
        &[("X_Value", ""), ("V0", ""), ("V1", ""), ("V2", ""), ("Comment", "")],
    );
    assert_eq!(numbers(&reading.table, "V2")[19], 2.19, "two tabs hold an empty cell");

    let above = format!("s,m/s,N\nTime,Speed,Force\n{}", lines(12, |i| format!("{i},{i}.5,1{i}")));
    check("units above the names", &above, 12, &[("Time", "s"), ("Speed", "m/s"), ("Force", "N")]);
}

#[test]
fn weather_services() {
    let rows = lines(36, |i| {
        let mark = if i % 9 == 4 { '*' } else { ' ' };
        format!(
            "   {}  {:2}   {:4}.5   {:3}.1{mark}   {:4}.0",
            1941 + i / 12,
            i % 12 + 1,
            10 + i % 7,
            i % 5,
            20 + i
        )
    });
    let station = format!(
        "Aberporth\nLocation: 224100E 252100N, 133 metres amsl\nEstimated data is marked with a * after the value.\n   yyyy  mm   tmax      tmin      rain\n              degC      degC        mm\n{rows}"
    );
    let reading = check(
        "Met Office",
        &station,
        36,
        &[("yyyy", ""), ("mm", ""), ("tmax", "degC"), ("tmin", "degC"), ("rain", "mm")],
    );
    assert!(codes_of_warnings(&reading).contains(&"marks-left-out"), "{:?}", reading.description.warnings);
    assert_eq!(numbers(&reading.table, "tmin")[4], 4.1);

    let typical = format!(
        "723170,\"GREENSBORO\",NC,-5.0,36.1\nDate,Time,GHI (W/m^2),DNI (W/m^2),source\n{}",
        lines(30, |i| format!("01/{:02}/1981,{:02}:00,{},{},{}", 1 + i, i % 24, i * 3, i * 5, i % 3))
    );
    check(
        "TMY3",
        &typical,
        30,
        &[("Date", ""), ("Time", ""), ("GHI (W/m^2)", "W/m^2"), ("DNI (W/m^2)", "W/m^2"), ("source", "")],
    );

    let year = format!(
        "LOCATION,Porto Alegre,BRA\nDESIGN CONDITIONS,1,a,b,c,d,e,f,g,h\nHOLIDAYS,No,0\nDATA PERIODS,1\n{}",
        lines(30, |i| format!("1993,1,{},{},{i}.5,{i},9", 1 + i / 24, 1 + i % 24))
    );
    let reading = read(year.as_bytes()).unwrap();
    assert_eq!((reading.table.n_rows(), reading.table.columns.len()), (30, 7), "EPW");

    let described = format!(
        "# Coding: utf-8\n# 1. Period, ISO 8601\n# 2. TOA. Irradiation; on top, of all\n#\n# Period;TOA;GHI\n{}",
        lines(6, |i| format!("2020-0{}-01;{i}.5;{i}.25", 1 + i))
    );
    check("comments with a header", &described, 6, &[("Period", ""), ("TOA", ""), ("GHI", "")]);

    let with_notes = format!(
        "Latitude (decimal degrees):\t45.0\nElevation (m):\t250\n\ntime,G(i),T2m\n{}\nG(i): irradiance on the inclined plane\nT2m: air temperature\n\nPVGIS (c) European Union, 2001-2021\n",
        lines(14, |i| format!("201601{:02}:0010,{i}.5,3.{i}", 1 + i))
    );
    let reading = check("PVGIS", &with_notes, 14, &[("time", ""), ("G(i)", ""), ("T2m", "")]);
    assert_eq!(kinds(&reading)[0], ColumnKind::Date);
    assert!(codes_of_warnings(&reading).contains(&"footer-left-out"));
}

#[test]
fn surveys_and_office_programs() {
    let rows = lines(12, |i| format!("2021-03-{:02} 10:00:00,{},{},{}", 1 + i, 30 + i, 18 + i, i % 5));
    let survey = format!(
        "StartDate,Duration,Q1,Q2\nStart Date,Duration,\"What is your age?\",\"Rate A, please\"\n\"{{\"\"ImportId\"\":\"\"startDate\"\"}}\",\"{{\"\"ImportId\"\":\"\"duration\"\"}}\",\"{{\"\"ImportId\"\":\"\"QID1\"\"}}\",\"{{\"\"ImportId\"\":\"\"QID2\"\"}}\"\n{rows}"
    );
    check("Qualtrics", &survey, 12, &[("StartDate", ""), ("Duration", ""), ("Q1", ""), ("Q2", "")]);

    let pivot = format!(
        "Sum of Sales,Column Labels,,\nRow Labels,2019,2020,Grand Total\n{}Grand Total,570,760,1330\n",
        lines(12, |i| format!("Region {i},{},{},{}", i * 3, i * 4, i * 7))
    );
    check("pivot table", &pivot, 12, &[("Row Labels", ""), ("2019", ""), ("2020", ""), ("Grand Total", "")]);

    let frame =
        format!("\"mpg\" \"cyl\"\n{}", lines(12, |i| format!("\"Car {i}\" {i}.5 {}", 4 + 2 * (i % 3))));
    check("R write.table", &frame, 12, &[("column_1", ""), ("mpg", ""), ("cyl", "")]);

    let side =
        "Parameter,Run 1,Run 2,Run 3\nVelocity,10,20,30\nCl,0.1,0.2,0.3\nAirfoil,NACA0012,NACA2412,S1223\n";
    let reading = read(side.as_bytes()).unwrap();
    assert!(codes_of_warnings(&reading).contains(&"table-on-its-side"), "{:?}", reading.description.warnings);
}

/// Blanks between thousands part no columns where something else does.
#[test]
fn thousands_between_semicolons() {
    let text =
        format!("Local:;lab\np;n;day;t\nNA;0;NA;tz\n{}", lines(9, |i| format!("-10 000 00{i},00;0;NA;tz")));
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!((reading.table.n_rows(), reading.table.columns.len()), (10, 4));
    assert_eq!(numbers(&reading.table, "p")[9], -10_000_008.0);
}

/// Hourly values tell the day from the month although no day is above 12.
#[test]
fn days_and_months_by_even_steps() {
    let text =
        format!("when,y\n{}", lines(72, |i| format!("{}/{}/2021 {:02}:00,{i}.5", 1, 1 + i / 24, i % 24)));
    let reading = read(text.as_bytes()).unwrap();
    let column = &reading.description.columns[0];
    assert_eq!(column.date_format.as_deref(), Some("%m/%d/%Y %H:%M"));
    assert!(column.reason.contains("uneven"), "{}", column.reason);
    assert!(!codes_of_warnings(&reading).contains(&"day-or-month"));
    let (first, last) = column.date_range.clone().unwrap();
    assert_eq!((first.as_str(), last.as_str()), ("2021-01-01T00:00:00Z", "2021-01-03T23:00:00Z"));
}
